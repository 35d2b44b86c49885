PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
TESTS ?= tests
QUICK := tests/domain tests/configuration tests/stores/test_codec.py tests/stores/test_group_commit.py \
	tests/projections/test_progress.py tests/migration/test_records.py tests/migration/test_chunks.py \
	tests/http/test_moments.py tests/cli/test_output.py tests/house/test_imports.py

READY := $(VENV)/.ready
DEV_READY := $(VENV)/.dev-ready

.PHONY: serve quick test lint unit test-exhaustive bench clean

serve: $(READY)
	$(BIN)/ticketbook serve

# One file or test: make test TESTS=tests/http/test_tickets.py
test: lint unit

# What needs no store and no process of its own.
quick: lint
	$(BIN)/pytest $(QUICK)

lint: $(DEV_READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(DEV_READY)
	$(BIN)/pytest -n 2 --dist worksteal --durations 15 $(TESTS)

test-exhaustive: $(DEV_READY)
	$(BIN)/pytest -m exhaustive --durations 15 $(TESTS)

bench: $(DEV_READY)
	$(BIN)/pip install --quiet -e '.[dev,bench]'
	$(BIN)/python -m tests.bench

$(READY): pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "ticketbook needs Python 3.11 or newer: make PYTHON=python3.11 serve")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet -e .
	touch $@

$(DEV_READY): pyproject.toml | $(READY)
	$(BIN)/pip install --quiet -e '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) build *.egg-info .pytest_cache .mypy_cache .ruff_cache
