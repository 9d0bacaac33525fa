# niello: a small YAML file into verified hardware.
#
#   make                 sets up .venv, then: Verilog of a design of each family, handwritten digits through the default
#                        design on every engine, its bitstream and its report
#   make test            the tests (quick); make test-deep: the long ones (SHARD=2/8: an eighth of them); make test-all: both
#
#   make VERB            rtl lint sim synth bitstream report formal program run describe list boards doctor clean
#       DESIGN=NAME      a named design or a YAML file      BOARD=NAME      as `make boards` lists them
#       ARGS="..."       anything else that `niello VERB --help` names
#
#   make setup EXTRAS=gowin        adds an extra: gowin (the Tang Nano boards), formal (proofs), oracles (more judges:
#                                  of posits, of Keras models), qonnx (quantised models for `niello pulse import`),
#                                  cores (other processors for `pulse.soc`)
#   make check                     lint, format, types
#   make docs                      renews the generated tables of the READMEs
#   make lock                      renews requirements*.lock from pyproject.toml

VENV   := .venv
BIN    := $(VENV)/bin
NIELLO := $(BIN)/niello
PYTEST := $(BIN)/pytest -n 2 --dist loadfile
EXTRAS ?=
LOCKS  := requirements.lock $(EXTRAS:%=requirements-%.lock)
STAMP  := $(VENV)/.installed
PYTHON ?= python3

# A verb's design and board, where they were given.
PICK = $(DESIGN) $(if $(BOARD),--board $(BOARD)) $(ARGS)

.DEFAULT_GOAL := all
.PHONY: all setup test test-deep test-all check docs lock bench clean distclean rtl lint sim synth bitstream report formal program run describe list boards doctor

all: setup
	@$(NIELLO) demo $(PICK)

setup: $(STAMP)
	@$(if $(EXTRAS),sh flows/bin/setup $(PYTHON) $(VENV) $(LOCKS))

$(STAMP): $(LOCKS) pyproject.toml flows/bin/setup
	@sh flows/bin/setup $(PYTHON) $(VENV) $(LOCKS)

rtl lint sim synth bitstream report formal program run describe list boards doctor: setup
	@$(NIELLO) $@ $(PICK)

test: setup
	@$(PYTEST)

test-deep: setup
	@$(PYTEST) -m deep $(if $(SHARD),--shard $(SHARD))

test-all: setup
	@$(PYTEST) -m ""

check: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: setup
	$(BIN)/python bench/flow.py

docs: setup
	@$(BIN)/python -m flows.docs

lock:
	@sh flows/bin/lock $(PYTHON) $(ARGS)

clean:
	rm -rf build

distclean: clean
	rm -rf $(VENV) .uv
