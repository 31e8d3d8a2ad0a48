#!/bin/sh
# Installs the official clients and servers that the tests speak with: TypeScript from package-lock.json, Python from
# each requirements-<name>.txt (one environment per file, so that SDKs of two generations stand side by side), Rust from
# rmcp/Cargo.lock.
#
#   tests/peers/install.sh            installs what is missing or out of date, into target/peers
#   CAUSEWAY_PEERS=/elsewhere …       the same, elsewhere
#
# To change a version, edit package.json or requirements-<name>.in, and beside it run one of
#   npm install --package-lock-only --ignore-scripts --omit-lockfile-registry-resolved=true
#   pip-compile --generate-hashes --strip-extras --no-emit-index-url --no-emit-find-links requirements-<name>.in
#   cargo update --manifest-path rmcp/Cargo.toml
#
# Nothing is written into the source tree. A second run that finds the lock files unchanged does nothing.
set -eu

here=$(CDPATH= cd -- "$(dirname -- "$0")" && pwd)
peers=${CAUSEWAY_PEERS:-$here/../../target/peers}
mkdir -p "$peers"
peers=$(CDPATH= cd -- "$peers" && pwd)

say() { printf 'peers: %s\n' "$*"; }
stop() { printf 'peers: %s\n' "$*" >&2; exit 1; }

# Asked for only when something is to be installed: an installed tree needs none of them.
need_npm() {
    command -v npm >/dev/null 2>&1 || stop "npm is missing; run: sudo apt-get install -y nodejs npm"
}
need_python() {
    command -v python3 >/dev/null 2>&1 || stop "python3 is missing; run: sudo apt-get install -y python3 python3-venv"
    python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' ||
        stop "python3 is older than 3.11, which the locked packages need"
    python3 -c 'import ensurepip, venv' 2>/dev/null ||
        stop "python3 has no venv; run: sudo apt-get install -y python3-venv"
}

# The stamp names everything the result depends on; it is written last, so an interrupted run starts again.
stamp_of() { cat "$@" | cksum | tr ' ' '-'; }
is_fresh() { [ -f "$1/.stamp" ] && [ "$(cat "$1/.stamp")" = "$2" ]; }

install_node() {
    to=$peers/node
    stamp=$(stamp_of "$here/package.json" "$here/package-lock.json")
    if is_fresh "$to" "$stamp"; then
        say "TypeScript: up to date"
    else
        need_npm
        say "TypeScript: installing $(grep -c '"integrity"' "$here/package-lock.json") packages into $to (about 350 MB, a minute at most)"
        mkdir -p "$to"
        rm -f "$to/.stamp"
        cp "$here/package.json" "$here/package-lock.json" "$to/"
        (cd "$to" && npm ci --ignore-scripts --no-audit --no-fund --loglevel=error)
        # Node itself comes with the packages where npm carries it; elsewhere the machine's has to do.
        if [ ! -x "$to/node_modules/.bin/node" ]; then
            node -e 'process.exit(Number(process.versions.node.split(".")[0]) < 22)' 2>/dev/null ||
                stop "npm carries no Node for this machine and the installed one is older than 22: https://nodejs.org"
            ln -sf "$(command -v node)" "$to/node_modules/.bin/node"
        fi
        printf '%s' "$stamp" >"$to/.stamp"
    fi
    # Scripts resolve packages from where they are started, which is this link (`--preserve-symlinks`).
    ln -sfn "$here" "$to/scripts"
}

install_python() {
    lock=$1
    name=$(basename "$lock" .txt)
    name=python-${name#requirements-}
    to=$peers/$name
    stamp=$(stamp_of "$lock")
    if is_fresh "$to" "$stamp" && "$to/bin/python" -c '' 2>/dev/null; then
        say "$name: up to date"
        return
    fi
    need_python
    say "$name: installing $(grep -c '==' "$lock") packages into $to"
    rm -rf "$to"
    python3 -m venv "$to"
    "$to/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
        --requirement "$lock"
    printf '%s' "$stamp" >"$to/.stamp"
}

# A workspace of its own: what it needs is none of the gateway's business. Cargo itself knows what is up to date.
install_rust() {
    command -v cargo >/dev/null 2>&1 || stop "cargo is missing: https://rustup.rs"
    say "Rust: building rmcp into $peers/rmcp (a minute at most, the first time)"
    CARGO_TARGET_DIR=$peers/rmcp cargo build --quiet --locked --manifest-path "$here/rmcp/Cargo.toml"
}

# All at once: what takes long is waiting for the registries, and unpacking on as many cores as there are.
running=
install_node & running="$running $!"
install_rust & running="$running $!"
for lock in "$here"/requirements-*.txt; do
    install_python "$lock" & running="$running $!"
done
failed=0
for one in $running; do
    wait "$one" || failed=1
done
exit "$failed"
