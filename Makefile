# Two commands on a bare machine (python3 >= 3.11 and pip): `make run` and `make test`.
.NOTPARALLEL:
SHELL := /bin/sh
PYTHON ?= python3
PLAN ?= examples/desk.yaml
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := PIP_DISABLE_PIP_VERSION_CHECK=1 $(PY) -m pip install --quiet --no-deps

# What is installed is remembered by the content of the files that say what to install.
RUN_KEY := $(shell cat pyproject.toml constraints/run.txt | cksum | tr -d ' ')
TEST_KEY := $(shell cat pyproject.toml constraints/test.txt | cksum | tr -d ' ')
RUN := $(VENV)/.run-$(RUN_KEY)
TEST := $(VENV)/.test-$(TEST_KEY)

.PHONY: run test test-slow lint bench bench-uncertainty pictures lock clean help

help:
	@echo "make run        the example: install what it needs, simulate, print the verdict (PLAN=..., ARGS=...)"
	@echo "make test       format, lint, types, import contracts, tests"
	@echo "make test-slow  the long proofs"
	@echo "make bench      the kernels' speed beside numpy, JAX and C++; costs, memory"
	@echo "make pictures   docs/the-model-in-pictures.md drawn anew (DATA=DIR, ARGS=--without-backtest)"
	@echo "make bench-uncertainty  the tables of docs/uncertainty.md anew, for the shipped model"
	@echo "make lock       resolve the pinned versions anew (UPGRADE=--upgrade for newer ones)"
	@echo "make clean      remove .venv and caches; results in runs/ stay"

run: $(RUN)
	@code=0; $(VENV)/bin/seawall run $(PLAN) $(ARGS) || code=$$?; \
	if [ $$code -eq 3 ]; then \
	  echo "The run is done. A limit is breached: seawall ended with code 3, which \`make run\` counts as success."; \
	elif [ $$code -ne 0 ]; then \
	  echo "seawall ended with code $$code." >&2; exit $$code; \
	fi

lint: $(TEST)
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(PY) -m mypy
	$(VENV)/bin/lint-imports

test: lint
	NUMBA_DISABLE_JIT=1 $(PY) -m pytest -q -m "not slow" tests/kernels
	NUMBA_BOUNDSCHECK=1 $(PY) -m pytest -q -m "not slow" tests/kernels
	$(PY) -m pytest -m "not slow"

test-slow: $(TEST)
	$(PY) -m pytest -m slow
	$(PY) -m pytest -m "hypothesis and not slow" --hypothesis-profile=explore

bench: $(RUN)
	$(PY) -m benchmarks

pictures: $(RUN)
	@test -n "$(DATA)" || { echo "Name the folder of market history: make pictures DATA=DIR" >&2; exit 2; }
	$(PY) -m pictures "$(DATA)" $(ARGS)

bench-uncertainty: $(RUN)
	$(PY) -m benchmarks.uncertainty

$(PY):
	@$(PYTHON) -c 'import sys; v = "%d.%d" % sys.version_info[:2]; sys.exit(None if sys.version_info >= (3, 11) else \
	  "Seawall needs Python 3.11 or newer; $(PYTHON) is " + v + ". Name another one: make PYTHON=python3.12 ...")'
	@if $(PYTHON) -c 'import ensurepip' 2>/dev/null; then \
	  $(PYTHON) -m venv $(VENV); \
	elif $(PYTHON) -m venv --without-pip $(VENV) && $(PYTHON) -m pip --python $(VENV)/bin/python install --quiet pip; then :; \
	else \
	  rm -rf $(VENV); \
	  echo "$(PYTHON) can't make a virtual environment: install its venv module or pip" \
	    "(on Debian and Ubuntu: apt install python3-venv python3-pip)." >&2; exit 1; \
	fi

$(RUN): | $(PY)
	@echo "Installing what Seawall needs into $(VENV) (once; a few minutes)"
	$(PIP) --require-hashes -r constraints/run.txt
	$(PIP) --no-build-isolation --editable .
	@touch $@

$(TEST): | $(PY)
	@echo "Installing what Seawall and its tests need into $(VENV) (once; a few minutes)"
	$(PIP) --require-hashes -r constraints/test.txt
	$(PIP) --no-build-isolation --editable .
	@touch $@ $(RUN)

# Universal: one file for every platform and every Python from 3.11 on; known versions are kept.
COMPILE = $(VENV)/bin/uv pip compile pyproject.toml - --quiet --universal --python-version 3.11 --fork-strategy fewest \
  --no-build --generate-hashes --no-emit-index-url --no-annotate --custom-compile-command "make lock" $(UPGRADE)

lock: | $(PY)
	@$(PY) -m pip install --quiet uv
	echo 'setuptools>=77' | $(COMPILE) --extra test -o constraints/test.txt
	echo 'setuptools>=77' | $(COMPILE) -c constraints/test.txt -o constraints/run.txt

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache .benchmarks
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
