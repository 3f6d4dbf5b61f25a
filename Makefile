# make demo    install into .venv and run the whole road on text that this machine has (INPUT=folder: on yours)
# make test    install and run the tests; make test-slow runs those of minutes
# make lint    ruff; make bench prints the table of benchmarks
#
# TORCH names what pip installs for PyTorch. Plain `torch` brings gigabytes of CUDA libraries on Linux; a CPU-only build:
#   make demo TORCH="torch --index-url https://download.pytorch.org/whl/cpu"

PYTHON ?= python3
VENV ?= .venv
PEERS ?= .venv-bench
TORCH ?= torch==2.13.0
WORKERS ?= 2
INPUT ?=
DEMO ?= demo
BIN := $(VENV)/bin

.PHONY: demo test test-slow lint bench reference clean

$(VENV)/installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, this is " + sys.version.split()[0]) if sys.version_info < (3, 11) else 0'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet $(TORCH)
	PYTHONWARNINGS=ignore $(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

demo: $(VENV)/installed
	PATH="$(abspath $(BIN)):$$PATH" WORKERS="$(WORKERS)" sh deploy/demo.sh "$(DEMO)" "$(INPUT)"

test: $(VENV)/installed
	$(BIN)/python -m pytest -m "not slow"

test-slow: $(VENV)/installed
	$(BIN)/python -m pytest -m slow

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

$(PEERS)/installed: tests/benchmarks/peers.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --requirement tests/benchmarks/peers.txt
	$(PEERS)/bin/python -m pip install --quiet --no-deps text-dedup==0.4.0
	touch $@

bench: $(VENV)/installed $(PEERS)/installed
	PEERS="$(PEERS)" $(BIN)/python -m tests.benchmarks

# the reference in README.md, out of the models
reference: $(VENV)/installed
	$(BIN)/python tests/test_readme.py

clean:
	rm -rf $(VENV) $(DEMO) build *.egg-info
