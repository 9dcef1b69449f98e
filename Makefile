# `make reproduce` and `make test` do all their own set-up; a second call installs nothing.

PYTHON ?= python3
BIN := .venv/bin
INSTALLED := .venv/installed

.DEFAULT_GOAL := help
.PHONY: help reproduce figures test lint format clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

reproduce: $(INSTALLED) ## check the theory, run the toys, the real data and the quick benchmarks, draw the figures
	@echo "== theory: every claim"
	@$(BIN)/python -m theory
	@for process in masked uniform absorbing ctmc; do \
	  echo "== two dimensions, $$process process" && \
	  $(BIN)/python toys/two_dim_tv.py --process $$process \
	    --json results/two_dim_tv_$$process.json || exit; \
	done
	@echo "== where N TV grows like log N, and the grid that mends it"
	@for grid in uniform quadratic; do \
	  $(BIN)/python toys/two_dim_tv.py --process ctmc --rates .3 1 --theta 1 --horizon 2 \
	    --steps 1 2 4 8 16 32 64 128 256 512 1024 --grid $$grid \
	    --json results/two_dim_log$$(test $$grid = uniform || echo _$$grid).json || exit; \
	done
	@echo "== two moons on a grid: products and mixtures"
	@$(BIN)/python toys/figure1_laws.py --json results/figure1.json
	@echo "== real data: patches of digit images"
	@$(BIN)/python toys/digit_patches.py --json results/digit_patches.json
	@echo "== real data: windows of words"
	@$(BIN)/python toys/letter_windows.py --json results/letter_windows.json
	@echo "== benchmark of few-step methods, the quick form"
	@$(BIN)/python toys/leaderboard.py --quick --json results/quick/leaderboard.json
	@echo "== full-scale path on 8 x 8 digits, the quick form"
	@$(BIN)/python -m full_scale.digits --quick --json results/quick/digits.json
	@echo "== figures"
	@$(BIN)/python -m figures
	@echo "== summary"
	@$(BIN)/python -m reporting

figures: $(INSTALLED) ## draw the figures again from results/
	@$(BIN)/python -m figures

test: lint ## run everything that CI runs
	@echo "== pytest: theory, units, scripts, architecture, wheel"
	@$(BIN)/pytest

lint: $(INSTALLED) ## ruff and pyright
	@echo "== ruff check"
	@$(BIN)/ruff check
	@echo "== ruff format"
	@$(BIN)/ruff format --check
	@echo "== pyright"
	@$(BIN)/pyright --pythonpath $(BIN)/python di4c $(wildcard full_scale)

format: $(INSTALLED) ## let ruff lay out the code and mend what it can
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

clean: ## remove the environment and all caches; results stay
	rm -rf .venv .hypothesis .pytest_cache .ruff_cache mutants
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
