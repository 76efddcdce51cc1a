# One file for everything a person or CI runs. `make help` lists the targets.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
MAKEFLAGS += --no-builtin-rules

PYTHON ?= $(firstword $(foreach name,python3.11 python3.12 python3,$(shell command -v $(name))))
BIN := .venv/bin
ARGS ?=
LTS := 5.26.16
# Each worker has a database of its own; a server that NEO4J_TEST_URI names is one for all.
WORKERS := $(if $(NEO4J_TEST_URI),0,2)
PYTEST = $(BIN)/pytest --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

# A terminal shows what pip downloads; a log only wants the errors.
PIP = $(BIN)/python -m pip install --disable-pip-version-check --no-input $$([ -t 2 ] || echo --quiet)
LOCKED = --require-hashes --only-binary :all:
EXPORT = $(BIN)/uv export --quiet --no-header --no-annotate --no-emit-project --group build

.PHONY: help demo test lint test-lts bench bench-accuracy up lock graphiql clean

help:  ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

demo: .venv/.installed  ## Load real-looking data and show the golden profiles (ARGS="--data DIR", ARGS=--exit)
	@$(BIN)/identity-graph demo $(ARGS)

test: lint  ## Everything that CI checks, then the tests (ARGS="-k partition")
	@$(PYTEST) $(ARGS)

lint: .venv/.installed-dev node_modules/.installed  ## The checks that need no database
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --quiet --check .
	@node_modules/.bin/pyright
	@$(BIN)/lint-imports --no-logo
	@node .ci/lint_cypher.mjs

test-lts: .venv/.installed-dev node_modules/.installed  ## The database tests on the long-term support version
	@IDENTITY_GRAPH_TEST_NEO4J_VERSION=$(LTS) $(PYTEST) tests/neo4j tests/api $(ARGS)

bench: .venv/.installed-dev  ## Measure speed beside the baselines, into bench/results
	@$(BIN)/python -m bench $(ARGS)

bench-accuracy: .venv/.installed-dev  ## Measure matching on labelled data, into bench/results
	@$(BIN)/python -m bench.accuracy $(ARGS)

up: .env  ## Start Neo4j and the service in containers
	@docker compose up --build --detach --wait

lock: .venv/.installed-dev  ## Resolve the dependencies anew and write every lock file
	@rm -f uv.lock
	@$(EXPORT) --no-dev --output-file requirements.lock > /dev/null
	@$(EXPORT) --group dev --output-file requirements-dev.lock > /dev/null
	@npm install --package-lock-only --loglevel=error

graphiql:  ## Build the GraphiQL page that the service shows in development
	@node .ci/build_graphiql.mjs identity_graph/api/graphiql.html.gz

clean:  ## Remove what was installed and built, never data
	rm -rf .venv node_modules build dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache

# pip comes last into a new environment, so one without a working pip was interrupted: start again.
.venv/.installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 13))' \
		|| { echo "Python 3.11 or 3.12 is needed; $(PYTHON) is another. Try: make PYTHON=/path/to/python3.11" >&2; exit 1; }
	@$(BIN)/python -m pip --version > /dev/null 2>&1 || $(PYTHON) -m venv --clear .venv
	@echo "Installing the locked dependencies into .venv (once, about a minute)"
	@$(PIP) $(LOCKED) -r requirements.lock
	@$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

.venv/.installed-dev: requirements-dev.lock .venv/.installed
	@$(PIP) $(LOCKED) -r requirements-dev.lock
	@touch $@

# Secrets of the containers, made once. The service is told the key's hash only; the key itself is for its owner.
.env: | .venv/.installed
	@umask 077; $(BIN)/identity-graph keys new owner --scope admin --json | $(BIN)/python -c '\
	import json, secrets, sys; key = json.load(sys.stdin); \
	print("NEO4J_PASSWORD=" + secrets.token_urlsafe(24)); \
	print("IDENTITY_GRAPH_API_KEYS=" + key["setting"]); \
	print("# Clients send: Authorization: Bearer " + key["key"])' > $@
	@echo "Wrote a database password and an API key to .env"

node_modules/.installed: package-lock.json
	@command -v npm > /dev/null || { echo "Node.js 20 or newer is needed for the checks; the service needs none" >&2; exit 1; }
	@npm ci --loglevel=error
	@touch $@
