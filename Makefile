# Kaoping: `make help` lists what can be done. Needs python3 (3.11 or later) with venv and pip, and make; nothing else.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.ONESHELL:
MAKEFLAGS += --no-print-directory

# The Python that makes the environment, the environment's folder, and the demo's data folder.
PYTHON ?= python3
VENV ?= .venv
DATA ?= $(or $(KAOPING_DATA),.kaoping)
PORT ?= $(or $(KAOPING_PORT),8000)
ONCE ?=
# More arguments for pytest: make test ARGS="tests/service -k ranking". With "-n 0" it is one process, where --pdb and -s work.
ARGS ?=
# A file of tests is run as a whole, the slow ones first; whatever ends a process ends the run.
SIDE_BY_SIDE := -n auto --dist loadfile --no-loadscope-reorder --max-worker-restart 0

BIN := $(VENV)/bin
STAMP := $(VENV)/.made-from-the-lock
UV_VERSION := 0.13.9

export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  \033[1m%-12s\033[0m %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: setup
setup: $(STAMP) ## Make the environment (.venv) from the lock file; quick when nothing changed
	@:

# Where the lock file or the project file changed, or the environment's Python is gone, it is made or mended.
$(STAMP): requirements-dev.lock requirements-redis.lock pyproject.toml service/__init__.py
	@./.ci/setup.sh "$(PYTHON)" "$(VENV)"
	touch "$@"

ifneq ($(shell "$(BIN)/python" -c "" >/dev/null 2>&1 && echo works),works)
.PHONY: $(STAMP)
endif

.PHONY: demo
demo: setup ## Run a whole assessment of a demo district and serve it (ONCE=1 ends after the board; PORT=8123 DATA=/folder)
	@KAOPING_DATA="$(DATA)" KAOPING_PORT="$(PORT)" exec "$(BIN)/kaoping" demo $(if $(filter-out 0 no false,$(ONCE)),--once)

.PHONY: clean-demo
clean-demo: setup ## Stop the demo's servers and remove its data (DATA=/folder)
	@"$(BIN)/kaoping" embedded remove --data "$(DATA)"

.PHONY: test
test: setup ## Run the whole suite on embedded servers (ARGS="tests/service -k ranking" for a part)
	@"$(BIN)/python" -m pytest $(SIDE_BY_SIDE) -m "not long and not bench" $(ARGS)

.PHONY: test-long
test-long: setup ## Run the longer forms of the heavier tests
	@"$(BIN)/python" -m pytest -m long $(ARGS)

.PHONY: faults
faults: setup ## Break everything that jobs stand on: kill, stop and cut off workers, Redis and PostgreSQL (6 minutes)
	@"$(BIN)/python" -m pytest tests/faults/test_faults.py tests/faults/test_keys.py --full $(ARGS)

.PHONY: bench
bench: setup ## Measure: opening, ranking, and the API beside PostGraphile 5 (which needs npm; BENCH_UNITS=500 is quick)
	@"$(BIN)/python" -m pytest -m bench -s $(ARGS)

.PHONY: coverage
coverage: setup ## Run the suite with coverage and show what no test reaches
	@"$(BIN)/coverage" erase
	"$(BIN)/coverage" run -m pytest -q $(SIDE_BY_SIDE) -m "not long and not bench" $(ARGS)
	"$(BIN)/coverage" combine -q
	"$(BIN)/coverage" report

.PHONY: check
check: lint types imports ## Lint, types and imports: all that a commit must pass besides the suite

.PHONY: lint
lint: setup ## Find faults of style and of formatting
	@"$(BIN)/ruff" check .
	"$(BIN)/ruff" format --check .

.PHONY: format
format: setup ## Mend what the linter can mend, and format
	@"$(BIN)/ruff" check --fix .
	"$(BIN)/ruff" format .

.PHONY: types
types: setup ## Check the types, strictly
	@"$(BIN)/mypy"

.PHONY: imports
imports: setup ## Check that imports point one way: schema -> service -> tenants
	@"$(BIN)/lint-imports"

.PHONY: schema
schema: setup ## Write schema/schema.graphql anew from the types
	@"$(BIN)/python" -m schema.snapshot

.PHONY: pre-commit
pre-commit: setup ## Check every commit from now on
	@"$(BIN)/pre-commit" install

.PHONY: lock
lock: ## Lock the newest versions that the project file allows
	@./.ci/lock.sh "$(PYTHON)" "$(UV_VERSION)"

.PHONY: clean
clean: ## Remove the environment and what tools left behind; the demo's data stays
	@rm -rf "$(VENV)" build dist htmlcov .coverage .coverage.* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find schema service tenants tests -name __pycache__ -type d -prune -exec rm -rf {} +
