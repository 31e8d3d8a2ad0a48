# Everything one does here, by name. `make` alone lists it.

# Rust is often installed for a user whose shell has not been started since.
export PATH := $(HOME)/.cargo/bin:$(PATH)

# The directory cargo builds into; tools that only we need are installed beside it.
TARGET := $(or $(CARGO_TARGET_DIR),target)
TOOLS := $(abspath $(TARGET))/tools
# Pinned, so that a check means the same thing on every machine.
CARGO_DENY := 0.20.2
CARGO_FUZZ := 0.13.2
# The nightly compiler of `make fuzz`.
NIGHTLY ?= nightly
# How long `make fuzz` stays with each target.
FUZZ_SECONDS ?= 60
# How long `make soak` goes on. The graph in docs/ is of an hour.
SOAK_MINUTES ?= 60
# What `make run` serves, and what else `make bench` is told, as in `make bench ARGS="--calls 20000 --profile"`.
CONFIG ?= gateway.yaml
ARGS ?=

say = @printf '%s\n' "== $(1)"

.PHONY: help
help: ## list these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 16

.PHONY: run
run: ## build, and serve gateway.yaml
	@scripts/need.sh cargo cc make cmake certificates
	$(call say,building causeway: minutes the first time and seconds after that)
	@cargo build --locked --package causeway
	@exec $(TARGET)/debug/causeway run $(CONFIG)

.PHONY: test
test: ## check and test everything, after installing what that needs
	@scripts/need.sh cargo cc make cmake certificates python3 venv npm
	@scripts/need.sh nginx || echo 'setup: without nginx the tests of docs/nginx.conf are skipped'
	$(call say,installing the official clients and servers that the tests speak with)
	@tests/peers/install.sh
	$(call say,formatting)
	@cargo fmt --all --check
	$(call say,lints)
	@cargo clippy --locked --workspace --all-targets -- -D warnings
	$(call say,dependencies: licences and bans and sources)
	@$(MAKE) --no-print-directory deny-offline
	$(call say,building)
	@cargo build --locked --workspace
	$(call say,container files)
	@scripts/check-container.sh $(TARGET)/debug/causeway
	$(call say,testing)
	@cargo test --locked --workspace --no-fail-fast

.PHONY: deny
deny: deny-offline ## judge the dependencies: licences, bans, sources, advisories
	$(call say,dependencies: advisories)
	@if $(TOOLS)/bin/cargo-deny --all-features fetch db 2>/dev/null; then \
	    $(TOOLS)/bin/cargo-deny --all-features check --disable-fetch advisories; \
	else \
	    echo 'advisories: no database within reach, so nothing was checked against it'; \
	fi

# What needs no database. Its tool takes two to three minutes to build, once.
.PHONY: deny-offline
deny-offline: $(TOOLS)/cargo-deny-$(CARGO_DENY)
	@$(TOOLS)/bin/cargo-deny --all-features --log-level error check licenses bans sources

.PHONY: bench
bench: ## measure the gateway beside nginx and a direct call, in one run
	@scripts/need.sh cargo cc make cmake certificates nginx
	$(call say,building with full optimization: some minutes the first time)
	@cargo build --locked --release --package causeway --package causeway-bench
	@$(TARGET)/release/micro
	@$(TARGET)/release/end_to_end $(ARGS)

.PHONY: soak
soak: ## for SOAK_MINUTES do what leaves something behind, and show that nothing is (docs/soak.svg)
	@scripts/need.sh cargo cc make cmake certificates
	$(call say,building with full optimization: some minutes the first time)
	@cargo build --locked --release --package causeway --package causeway-bench
	@$(TARGET)/release/soak --minutes $(SOAK_MINUTES) --graph docs/soak.svg

.PHONY: fuzz
fuzz: $(TOOLS)/cargo-fuzz-$(CARGO_FUZZ) ## feed the parsers nonsense, FUZZ_SECONDS each (needs the nightly compiler)
	@rustup toolchain list | grep -q '^$(NIGHTLY)' || rustup toolchain install $(NIGHTLY) --profile minimal
	@for target in $$(cargo +$(NIGHTLY) fuzz list); do \
	    printf '%s\n' "== fuzzing $$target for $(FUZZ_SECONDS) s"; \
	    cargo +$(NIGHTLY) fuzz run $$target -- -max_total_time=$(FUZZ_SECONDS) -verbosity=0 || exit 1; \
	done
fuzz: export PATH := $(TOOLS)/bin:$(PATH)

.PHONY: image
image: ## build the container images causeway:slim and causeway:full
	docker build --target slim --tag causeway:slim --tag causeway:latest .
	docker build --target full --tag causeway:full .

.PHONY: fmt
fmt: ## format the code
	cargo fmt --all

# A tool's version is in its stamp's name: a new pin installs it anew.
$(TOOLS)/cargo-%:
	@scripts/need.sh cargo cc certificates
	$(call say,installing cargo-$* into $(TOOLS): some minutes and only once)
	@name=$*; cargo install --quiet --locked --root $(TOOLS) --target-dir $(TOOLS)/build \
	    --version $${name##*-} cargo-$${name%-*}
	@rm -rf $(TOOLS)/build
	@touch $@
