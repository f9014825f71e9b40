# From a bare clone: each target makes the virtual environment it needs, once.
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/.installed

.PHONY: demo test test-all lint bench clean

demo: $(STAMP)
	$(BIN)/trueloop demo

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

test-all: test
	$(BIN)/python tests/study/run.py

lint: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

bench: $(STAMP)
	@for script in bench/*.py; do [ -f "$$script" ] || continue; echo "$$script"; $(BIN)/python "$$script" || exit 1; done

# Results that took long to compute stay: runs/ and .study/.
clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build src/*.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(STAMP): pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "trueloop needs Python 3.11 or newer, found " + sys.version)'
	$(PYTHON) -m venv .venv
