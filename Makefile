# Two commands do all set-up: `make demo` and `make test`. Each makes .venv from the hashed lock when needed.
SHELL := /bin/sh
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

# The first interpreter that is really there and that we support.
PYTHON ?= $(shell for p in python3.13 python3.12 python3.11 python3 python; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' 2>/dev/null \
	&& echo $$p && break; done)

.DEFAULT_GOAL := help
.PHONY: help demo test ui lint types imports sql check lock docs bench fuzz clean

help:  ## show what there is
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 10

$(STAMP): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "FlakeGuard needs Python 3.11, 3.12 or 3.13; none was found. Install one, or name it: make PYTHON=/path/to/python3"; exit 1; }
	@echo "Making $(VENV) from requirements.lock (about a minute, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip --disable-pip-version-check install -qq --no-deps --require-hashes -r requirements.lock
	@$(BIN)/python -m pip --disable-pip-version-check install -qq --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(STAMP)  ## make a sample CI history and run the main job on it
	@$(BIN)/flakeguard demo

test: $(STAMP)  ## the whole test suite
	@$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST_ARGS)

ui: $(STAMP)  ## open the Dagster UI on what `flakeguard run` and `make demo` have made
	@$(BIN)/flakeguard ui

lint: $(STAMP)  ## style of Python
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: $(STAMP)  ## strict types
	@$(BIN)/mypy

imports: $(STAMP)  ## the layers of the house
	@$(BIN)/lint-imports

sql: $(STAMP)  ## style of SQL, and whether dbt can read its project
	@$(BIN)/sqlfluff lint sql/queries dbt/models
	@$(BIN)/dbt parse --project-dir dbt --profiles-dir dbt --target-path ../.flakeguard/dbt-parse --log-path ../.flakeguard/dbt-parse --quiet

check: lint types imports sql test  ## everything that CI checks

lock:  ## resolve requirements.lock anew (needs uv)
	@uv pip compile --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-strip-extras \
		--custom-compile-command 'make lock' --quiet pyproject.toml --group dev -o requirements.lock

docs: $(STAMP)  ## write the generated reference pages anew
	@$(BIN)/python -m flakeguard_pipeline.warehouse.dictionary docs/reference/warehouse.md
	@$(BIN)/python -m flakeguard_pipeline.warehouse.questions_page docs/reference/queries.md

bench: $(STAMP)  ## the benchmarks, with where the time goes
	@$(BIN)/python -m benchmarks.idle_run
	@$(BIN)/python -m benchmarks.reports
	@$(BIN)/python -m benchmarks.sources

fuzz: $(STAMP)  ## damage reports at random, SECONDS=60 long, and look how they are read
	@$(BIN)/python -m tests.fuzz.fuzz_reports --seconds $(or $(SECONDS),60) $(FUZZ_ARGS)

clean:  ## forget the virtual environment and the demo
	@rm -rf $(VENV) .flakeguard
