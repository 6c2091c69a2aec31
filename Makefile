# Needs Node 20 or newer with npm, and make. The rest is installed into .tools, at these versions.
DENO_VERSION := 2.9.6
BUN_VERSION := 1.4.5

tools := $(CURDIR)/.tools
stamp := .tools/deno-$(DENO_VERSION)-bun-$(BUN_VERSION)
deno := .tools/node_modules/.bin/deno
bun := .tools/node_modules/.bin/bun
export PATH := $(tools)/node_modules/.bin:$(PATH)
# Which parts `make test` runs (unit bun contract property fault stress e2e), or `make bench`
# (whole levels documents idle sweeps wal, and writes when it is named); empty: all.
ONLY ?=
# What `make stress` replays (empty: a new seed), and for how long.
SEED ?=
SECONDS ?= 60
# Where `make demo` writes: sqlite or opensearch.
SINK ?= sqlite

.DEFAULT_GOAL := help
.PHONY: help demo test stress check build bench fmt clean

help: ## Lists what make can do here
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: build ## Shows documents following tables; SINK=opensearch: in a real OpenSearch
	@$(deno) run -A test/support/demo.ts --sink $(SINK)

test: node_modules ## Builds and runs all tests on real servers; ONLY="unit e2e": some
	@$(deno) run -A test/support/run_tests.ts $(ONLY)

stress: node_modules ## Follows many writers, right and wrong, and counts lost rows; SEED=… SECONDS=…
	@SEED=$(SEED) SECONDS=$(SECONDS) $(deno) run -A --no-check test/stress/main.ts

check: node_modules ## Checks format, lint, types and architecture
	$(deno) fmt --check
	$(deno) lint
	$(deno) check src test
	$(deno) test -A --no-check test/architecture.test.ts

build: node_modules ## Compiles the binary dist/driftless
	@mkdir -p dist
	$(bun) build --compile --no-compile-autoload-dotenv --no-compile-autoload-bunfig --sourcemap \
	  src/main.ts --outfile dist/driftless

bench: build ## Measures throughput, latency, idling and sweeps; ONLY="levels idle": some
	@$(deno) run -A test/bench/run.ts $(ONLY)

fmt: node_modules ## Formats everything
	$(deno) fmt

clean: ## Removes what was built or installed here
	rm -rf dist .tools node_modules coverage

$(stamp):
	@node -e 'process.exit(Number(process.versions.node.split(".")[0]) >= 20 ? 0 : 1)' 2>/dev/null \
	  && npm --version >/dev/null 2>&1 || { echo "Cannot go on: Node 20 or newer with npm is needed." \
	  "Get it from nodejs.org or your package manager, or by: nvm install 20" >&2; exit 1; }
	npm install --prefix=.tools --no-audit --no-fund --loglevel=error \
	  deno@$(DENO_VERSION) bun@$(BUN_VERSION)
	@touch $@

node_modules: $(stamp) deno.json deno.lock
	$(deno) install --frozen --quiet
	@touch $@
