# syntax=docker/dockerfile:1
# `slim` is the gateway alone; `full` adds Node and uv, for servers that are started with npx or uvx. `slim` is the default.
# Both run as a user without rights and write nowhere but to /var/lib/causeway and /tmp, so the root may be read-only.

FROM rust:1.95-bookworm AS build
# cmake builds zlib-ng, which pingora compresses with.
RUN apt-get update \
    && apt-get install -y --no-install-recommends cmake \
    && rm -rf /var/lib/apt/lists/*
WORKDIR /src
# Without rust-toolchain.toml: the image is the toolchain. Tests and benchmarks come along only because the workspace
# names them.
COPY Cargo.toml Cargo.lock ./
COPY crates crates
COPY tests tests
COPY benches benches
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --release --package causeway \
    && install -D target/release/causeway /out/causeway

FROM debian:bookworm-slim AS slim
# tini reaps what grandchildren leave behind, which is the first process's duty in a container.
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates tini \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 65532 --home-dir /var/lib/causeway --shell /usr/sbin/nologin causeway \
    && install -d -o causeway -g causeway -m 0700 /var/lib/causeway
COPY --from=build /out/causeway /usr/local/bin/causeway
# Served when no other file is mounted in its place.
COPY <<'EOF_GATEWAY' /etc/causeway/gateway.yaml
# Within a container loopback reaches nobody, so this listens on every interface, and nobody is asked who they are:
# publish the port on loopback, as in `docker run --publish 127.0.0.1:7080:7080 causeway:slim`.
listen: 0.0.0.0:7080
auth: none
hosts: [localhost, 127.0.0.1, "[::1]", host.docker.internal]
state: /var/lib/causeway
upstreams:
  demo: { command: causeway, args: [demo] }
EOF_GATEWAY
# Served by docker-compose.yml: the demo is a container of its own there.
COPY <<'EOF_COMPOSE' /etc/causeway/compose.yaml
listen: 0.0.0.0:7080
auth: none
hosts: [localhost, 127.0.0.1, "[::1]", host.docker.internal, gateway]
state: /var/lib/causeway
upstreams:
  demo: { url: "http://demo:9000/mcp" }
EOF_COMPOSE
USER 65532:65532
WORKDIR /var/lib/causeway
ENV HOME=/var/lib/causeway
VOLUME /var/lib/causeway
EXPOSE 7080
HEALTHCHECK --interval=10s --timeout=4s --start-period=10s CMD ["causeway", "health"]
ENTRYPOINT ["tini", "--", "causeway"]
CMD ["run", "/etc/causeway/gateway.yaml"]

FROM slim AS full
USER root
RUN apt-get update \
    && apt-get install -y --no-install-recommends git libatomic1 python3 \
    && rm -rf /var/lib/apt/lists/*
COPY --from=node:24-bookworm-slim /usr/local/bin/node /usr/local/bin/node
COPY --from=node:24-bookworm-slim /usr/local/lib/node_modules /usr/local/lib/node_modules
RUN ln -s ../lib/node_modules/npm/bin/npm-cli.js /usr/local/bin/npm \
    && ln -s ../lib/node_modules/npm/bin/npx-cli.js /usr/local/bin/npx
COPY --from=ghcr.io/astral-sh/uv:0.13.8 /uv /uvx /usr/local/bin/
USER 65532:65532

FROM slim
