# Two commands do everything on a fresh machine:
#   make quickstart   sets up an environment and runs the main job on 21 ranks
#   make test         adds what the tests need, and passes the tests of units and of MPI
# The longer tests: make test-all, or one tier of them (test-system, test-paper); make soak takes hours, make breaks one.
# make site writes the documentation as a site, build/site/index.html.
# make bench measures the loops, the start and a round, and writes docs/PERFORMANCE.md: a quarter of an hour.
# VENV=/some/folder puts the environment elsewhere; PYTHON=python3.12 builds it with another interpreter.

PYTHON ?= python3
VENV ?= .venv
OUT ?= runs/quickstart
SETS ?=
TORCH ?= torch

quickstart: $(VENV)/runs
	PATH="$(abspath $(VENV))/bin:$$PATH" jobs/mpirun-local -n 21 mpirobust run configs/quickstart.toml --out $(OUT) --overwrite $(SETS)

test: test-unit test-mpi
test-all: test test-system test-paper

# A tier of the tests. Where PYTEST selects none of it, that is no failure (pytest's code 5).
tier = PATH="$(abspath $(VENV))/bin:$$PATH" python -m pytest -m $(1) $(PYTEST) $(if $(PYTEST),|| [ $$? = 5 ])

test-unit: $(VENV)/ready
	$(call tier,unit -n auto)

# Two jobs at a time: half of the time of most is waiting for one another, or for a death to be noticed.
test-mpi: $(VENV)/ready
	$(call tier,mpi -n 2 --dist loadfile)

# Most of these wait: for SLURM, for time limits, for silence. Every cluster and every network is a world of its own.
test-system: $(VENV)/ready
	$(call tier,system -n 3 --dist loadfile)

test-paper: $(VENV)/ready
	$(call tier,paper -n auto --dist loadfile)

soak: $(VENV)/ready
	PATH="$(abspath $(VENV))/bin:$$PATH" .ci/soak

# Takes out one protection after the other and shows that tests notice: about an hour.
breaks: $(VENV)/ready
	PATH="$(abspath $(VENV))/bin:$$PATH" python -m tests.breaks.run $(BREAKS)

# Every warning is an error; so is a page that is not in the navigation, a link that leads nowhere, a file from the network.
site: $(VENV)/ready
	$(VENV)/bin/sphinx-build -q -E -W --keep-going docs build/site

# One program after the other, on a quiet machine with two cores. ByzFL, with TORCH, is installed into an environment of its own.
bench: $(VENV)/ready
	export PATH="$(abspath $(VENV))/bin:$$PATH" && \
	python benchmarks/center.py --torch '$(TORCH)' && \
	python benchmarks/encoding.py && \
	python benchmarks/audits.py && \
	python benchmarks/startup.py && \
	python benchmarks/round_overhead.py && \
	python benchmarks/report.py

lint: $(VENV)/ready
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/shellcheck jobs/* .ci/*

# What a run needs; the rest, several times as much, is for the tests. The second pip finds the package installed and builds nothing.
$(VENV)/runs: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --quiet --editable '.[mpi,plot]'
	$(VENV)/bin/python -m compileall -q mpirobust
	touch $@

$(VENV)/ready: $(VENV)/runs
	$(VENV)/bin/pip install --quiet 'mpirobust[dev]'
	touch $@

.NOTPARALLEL:
.PHONY: quickstart test test-all test-unit test-mpi test-system test-paper soak breaks site bench lint
