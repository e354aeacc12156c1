# Two commands matter: `make demo` and `make test`. Both set up everything on first use.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
EXTRAS := dev,dicom,metrics,track
VENV_FLAGS := $(if $(SYSTEM_SITE),--system-site-packages,)
# Two spinning OpenMP threads beside another busy process crawl; tests need one.
ONE_THREAD := OMP_NUM_THREADS=1

.PHONY: help demo test lint check docs clean

help:
	@echo "make demo   the whole path on simulated patients, then demo/report.html"
	@echo "make test   the default tests"
	@echo "make docs   the documentation as a site, in site/"
	@echo "make check  what CI runs besides the demo: ruff, format, types, tests"
	@echo "SYSTEM_SITE=1 uses the torch that is already installed on this machine"

$(STAMP): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV_FLAGS) $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[$(EXTRAS)]"
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/lapse demo demo

test: $(STAMP)
	$(ONE_THREAD) $(BIN)/python -m pytest -q tests/unit

lint: $(STAMP)
	$(BIN)/ruff check src benchmarks tests experiments docs
	$(BIN)/ruff format --check src benchmarks tests experiments docs
	$(BIN)/mypy

check: lint test

$(VENV)/.docs: $(STAMP)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[docs]"
	touch $@

docs: $(VENV)/.docs
	PYTHONPATH=docs $(BIN)/python -m sitegen

clean:
	rm -rf $(VENV) demo build dist site
