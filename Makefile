# Two commands do everything on a fresh machine: `make explore` and `make test`.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
# A CPU build of torch. Where plain pip would take a CUDA build, install torch first (README, "Install").
TORCH  ?= torch==2.13.0

.PHONY: setup explore test test-all test-gpu check bench bench-avx2 mutants wheel clean

setup: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --upgrade pip
	$(BIN)/python -c "import torch" 2>/dev/null || $(BIN)/pip install --quiet "$(TORCH)"
	$(BIN)/pip install --quiet --editable ".[dev]"
	touch $@

explore: setup  ## the main job: the GPT and its ternary twin in, a Pareto report out
	$(BIN)/hwsim explore edge-lm --out reports/run --workers 2 --force

test: setup  ## all tests but the exhaustive sweeps, files side by side; TESTS="tests/arch" for some of them
	$(BIN)/pytest -rs -n auto --maxprocesses=4 --dist=loadfile $(TESTS)

test-all: setup  ## with the exhaustive sweeps (hours)
	$(BIN)/pytest -m "not gpu and not benchmark"

test-gpu: setup  ## comparisons with a CUDA device
	$(BIN)/pytest -m gpu -rs

check: setup  ## style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy --cache-dir /dev/null  # a kept cache can hide an error

BENCH  := env -u OPENBLAS_CORETYPE -u OPENBLAS_L2_SIZE

bench: setup  ## ratios within one run, written to reports/bench.json and reports/bench.md
	$(BENCH) $(BIN)/pytest -m benchmark tests/bench -s

bench-avx2: setup  ## the same as a processor without AVX-512 has it, hwsim, torch and NumPy alike
	$(BENCH) ATEN_CPU_CAPABILITY=avx2 MKL_ENABLE_INSTRUCTIONS=AVX2 ONEDNN_MAX_CPU_ISA=AVX2 OPENBLAS_CORETYPE=Haswell \
	    NUMBA_CPU_NAME=haswell NUMBA_CPU_FEATURES= $(BIN)/pytest -m benchmark tests/bench -s

mutants: setup  ## plants faults in a copy of the tree; which of them the fast tests see, in reports/mutants.md
	$(BIN)/python tests/mutants/run.py --out reports/mutants.md

wheel: setup  ## the wheel, tried from another folder
	rm -rf build dist
	$(BIN)/pip wheel --quiet --no-deps --wheel-dir dist .
	$(PYTHON) -m venv build/clean && build/clean/bin/pip install --quiet dist/*.whl
	cd / && $(CURDIR)/build/clean/bin/hwsim --help

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
