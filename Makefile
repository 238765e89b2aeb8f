# Every target sets up what it needs in .venv by itself; see scripts/setup-env.sh.
#   make test PYTHON=/path/to/python3.12      use this Python
#   make test PYTEST_ARGS="-k cohort"         hand other options to pytest than those below

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint docs bench evidence clean

SETUP := sh scripts/setup-env.sh
BIN := .venv/bin
PYTEST_ARGS ?= -n 2 --dist loadfile

# Plots go to files, on machines without a screen too.
export MPLBACKEND ?= Agg

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

setup:  ## make .venv with everything a developer needs
	@$(SETUP) dev test lint docs

demo:  ## run the whole road on the published cohorts and write a report
	@$(SETUP)
	@$(BIN)/progression demo --out report
	@echo "The report is in $(CURDIR)/report"

test:  ## run the quick tests: ten minutes on two cores, setting up included
	@$(SETUP) test
	$(BIN)/python -m pytest -q -m "not slow and not evidence" $(PYTEST_ARGS)

test-slow:  ## run the slow ones, of which most fit models: half an hour or more on two cores
	@$(SETUP) test
	$(BIN)/python -m pytest -q -m "slow and not evidence" $(PYTEST_ARGS)

lint:  ## check style and types
	@$(SETUP) test lint
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs:  ## build the documentation into docs/_build/html
	@$(SETUP) docs
	$(BIN)/python -m sphinx -W -b html docs docs/_build/html

bench:  ## run the benchmarks: an hour or so
	@$(SETUP)
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/engines.py

# Each goes on where it was cut off, with what lies in evidence-runs/; bounded, laplace and shared take minutes and begin again.
# One whose verdict is bad does not keep the others from being run: which they were is said at the end.
EVIDENCE := shared laplace bounded activity sharing antibody "agreement references" "agreement compare" "references table" \
            mutations faults calibration page

evidence:  ## measure again what is published of the models: days on two cores
	@$(SETUP) test
	@trap 'exit 130' INT TERM; failed=; for step in $(EVIDENCE); do \
	    echo "$(BIN)/python -m tests.evidence.$$step"; \
	    $(BIN)/python -m tests.evidence.$$step || failed="$$failed, $$step"; \
	done; if [ -n "$$failed" ]; then echo "Not as it should be:$${failed#,}"; exit 1; fi

clean:  ## remove what the other targets made, except .venv
	rm -rf report docs/_build docs/notebooks build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find progression models tests scripts benchmarks docs -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true
