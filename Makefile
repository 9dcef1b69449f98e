# `make reproduce` and `make test` do all their own set-up; a second call installs nothing.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help reproduce figures test lint format docs clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

reproduce: $(INSTALLED) ## check the theory, run toys and quick benchmarks, compare every number with results/
	@$(BIN)/python -m reporting.reproduce

figures: $(INSTALLED) ## draw the pictures of the records in results/
	@$(BIN)/python -m figures

test: lint ## run everything that CI runs
	@echo "== pytest: theory, units, scripts, documentation, architecture, wheel"
	@$(BIN)/pytest

lint: $(INSTALLED) ## ruff and pyright
	@echo "== ruff check"
	@$(BIN)/ruff check
	@echo "== ruff format"
	@$(BIN)/ruff format --check
	@echo "== pyright"
	@$(BIN)/pyright --pythonpath $(BIN)/python di4c $(wildcard full_scale)

docs: $(INSTALLED) ## build the documentation into docs/_build; warnings are errors
	@$(BIN)/python -m sphinx --quiet --fail-on-warning --keep-going docs docs/_build
	@echo "open docs/_build/index.html"

format: $(INSTALLED) ## let ruff lay out the code and mend what it can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean: ## remove the environment, caches and what was made; results/ stays
	rm -rf .venv .hypothesis .pytest_cache .ruff_cache build dist docs/_build docs/generated reproduced
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environment is current when it is newer than what it was made from. The constraints hold for
# the build backend too, hence no build isolation.
$(INSTALLED): pyproject.toml constraints.txt
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || { \
	  $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	    echo "error: $(PYTHON) is not Python 3.11 or newer; name one, as in: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; \
	    exit 2; } && \
	  echo "== making .venv with $(PYTHON)" && \
	  $(PYTHON) -m venv --clear .venv; }
	@echo "== installing the pinned versions"
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt hatchling
	@$(BIN)/python -m pip install --quiet --constraint constraints.txt --no-build-isolation --editable '.[dev]'
	@touch $@
