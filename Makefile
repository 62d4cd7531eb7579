# The commands of the project; each makes what it needs.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
export LEAP_HOME := $(CURDIR)

.PHONY: run test faults data figures release lint bench clean

run: $(VENV)/ready
	$(BIN)/leap data fetch wheels
	$(BIN)/leap run --profile demo

test: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder

faults: $(VENV)/ready
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest tests/faults -m "faults or not faults" -n auto --maxprocesses 4

data: $(VENV)/ready
	$(BIN)/leap data fetch wheels

# From data/reference/ alone: figures, tables and claims at the paper's settings, and the README's table.
figures: $(VENV)/ready
	$(BIN)/leap reference draw

# After `make run`: the executed notebooks, the gallery, and figures and README of the reference.
release: $(VENV)/ready
	$(BIN)/leap release --profile demo

lint: $(VENV)/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python benchmarks/house.py --check

bench: $(VENV)/ready
	$(BIN)/python benchmarks/metrics.py
	$(BIN)/python benchmarks/damae.py
	$(BIN)/python benchmarks/lasso.py
	$(BIN)/python benchmarks/ridge.py
	$(BIN)/python benchmarks/tcrp.py
	$(BIN)/python benchmarks/pan_perturbation.py
	$(BIN)/python benchmarks/lgbm.py
	$(BIN)/python benchmarks/scaling.py

# The lock has all but torch, which pyproject.toml pins. The stamp is written last: an interrupted install starts again.
$(VENV)/ready: requirements.lock pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	touch $@

clean:
	rm -rf $(VENV) data/processed data/results notebooks/executed figures/smoke figures/demo report
