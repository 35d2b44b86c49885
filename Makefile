PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV_READY := $(VENV)/.dev-ready

.PHONY: serve quick test lint unit test-exhaustive bench clean

serve: $(READY)
	$(BIN)/ticketbook serve

test: lint unit

quick: lint
	$(BIN)/pytest tests/domain tests/configuration tests/stores/test_codec.py

lint: $(DEV_READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit: $(DEV_READY)
	$(BIN)/pytest -n 2 --dist worksteal

test-exhaustive: $(DEV_READY)
	$(BIN)/pytest -m exhaustive

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
