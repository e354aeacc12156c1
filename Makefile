# `make demo` and `make test` set up everything on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := dev,dask,dicom,metrics,serve,track,docs
VENV_FLAGS := $(if $(SYSTEM_SITE),--system-site-packages,)
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt
# Two OpenMP threads on a busy machine are slower than one, and the tests need only one.
PYTEST := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q
SOURCES := src benchmarks tests experiments docs

.PHONY: help demo serve test integration test-all bench docs lint check clean

help:
	@echo "make demo         the full pipeline on simulated patients, then demo/report.html"
	@echo "make serve        the page that compares two films, on http://127.0.0.1:8000"
	@echo "make test         unit tests (minutes)"
	@echo "make integration  tests of processes, training and complete commands"
	@echo "make test-all     both"
	@echo "make check        lint and unit tests, as CI"
	@echo "make docs         the documentation as a site, in site/"
	@echo "make bench        the table of docs/explanation/performance.md; ROWS=\"beam prepare\""
	@echo "SYSTEM_SITE=1 uses the packages that are installed on this machine, such as torch"

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(PIP) -e ".[$(EXTRAS)]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/lapse demo demo

serve: $(STAMP)
	$(BIN)/lapse serve

test: $(STAMP)
	$(PYTEST) tests/unit

integration: $(STAMP)
	$(PYTEST) tests/integration

test-all: $(STAMP)
	$(PYTEST) tests

bench: $(STAMP)
	$(BIN)/python -m benchmarks $(or $(ROWS),all)

docs: $(STAMP)
	PYTHONPATH=docs $(BIN)/python -m sitegen

lint: $(STAMP)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/codespell

check: lint test

clean:
	rm -rf $(VENV) demo build dist site
