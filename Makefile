# One Vault lock monitor. `make` lists the targets.
# Only Python 3.11+ and make are needed; everything else is fetched into .venv (and .cache for the matrix).

PYTHON ?= python3
VENV := .venv/bin/python
SHELL := /bin/sh
# Most of a test's time is waiting: more processes than cores. PROCESSES=0 runs all in one.
PROCESSES ?= 4
export PROCESSES
BENCH ?= $(patsubst tests/bench/bench_%.py,%,$(wildcard tests/bench/bench_*.py))
.DEFAULT_GOAL := help
.PHONY: .python help run setup setup-dev test test-long test-matrix e2e bench mutants lint format types clean

help: ## list what there is
	@grep -E '^[a-z0-9-]+:.*## ' Makefile | sed -E 's/^([a-z0-9-]+):.*## (.*)/\1|\2/' | awk -F'|' '{printf "make %-14s %s\n", $$1, $$2}'

.python:
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { echo "Python 3.11 or newer is needed: install it, or name it with 'make PYTHON=/path/to/python3'." >&2; exit 2; }

setup: .python ## prepare .venv with what the monitor needs, and no test tools
	@"$(PYTHON)" onevault/bootstrap.py

setup-dev: .python ## prepare .venv with everything that development and the tests need, too
	@"$(PYTHON)" onevault/bootstrap.py dev

run: setup ## start everything: PostgreSQL, demo traffic, the loop, task queue, web pages on PORT (8000)
	@exec $(VENV) -m onevault.embedded.run

test: setup-dev ## run the tests on an embedded PostgreSQL
	@$(VENV) -m pytest -m "not e2e and not long" -n $(PROCESSES) --dist worksteal $(ARGS)

test-long: setup-dev ## run the tests that take long: ten kill -9 of everything, each setting that a role may set, all SQL tests on 13 to 17 (over an hour)
	@$(VENV) -m pytest -m long -n 0 $(ARGS)
	@$(VENV) -m tests.support.matrix 13 14 15 16 17

test-matrix: setup-dev ## run the SQL tests on PostgreSQL 13 to 18 (VERSIONS="13 18" for some, CORE="14 16" for what differs there)
	@$(VENV) -m tests.support.matrix $(VERSIONS) $(if $(CORE),--core $(CORE))

e2e: setup-dev ## run the browser tests
	@$(VENV) -m pytest -m e2e tests/e2e -n 2 --dist worksteal $(ARGS)

bench: setup-dev ## run the benchmarks one after the other and print their figures (BENCH="cycle loop" for some; about an hour)
	@for name in $(or $(BENCH),$(patsubst tests/bench/bench_%.py,%,$(wildcard tests/bench/bench_*.py))); do \
		echo "== $$name"; $(VENV) -m tests.bench.bench_$$name || exit 1; done

mutants: setup-dev ## change a dozen lines by chance, one at a time, and see whether the tests notice (SEED=1 NUMBER=12; some ten minutes)
	@$(VENV) -m tests.support.mutants $(or $(SEED),1) $(NUMBER)

lint: setup-dev ## ruff and mypy
	@$(VENV) -m ruff check .
	@$(VENV) -m ruff format --check .
	@$(VENV) -m mypy

types: setup-dev ## mypy alone
	@$(VENV) -m mypy

format: setup-dev ## let ruff put the code in order
	@$(VENV) -m ruff check --fix .
	@$(VENV) -m ruff format .

clean: ## remove what can be made again (not .local, where the embedded database lives)
	@rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache
