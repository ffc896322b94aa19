# Every target makes .venv and installs what it needs.  Needs Python 3.11 or newer, and nothing else.
PYTHON ?= python3
BIN := .venv/bin
PIP_INSTALL = $(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e
SOURCES := adamw_pset autograder tests benchmarks

.PHONY: heatmaps figures notebook lab demo-course bench test lint clean
.DELETE_ON_ERROR:

heatmaps: .venv/core.done  ## train the default experiment: figures/heatmaps.png, .svg, .csv, tuning.csv
	$(BIN)/adamw-pset heatmaps --out figures

figures: .venv/core.done  ## every figure of docs/: the default maps, SGD, PyTorch's convention, other networks and data
	$(BIN)/adamw-pset heatmaps --out docs/figures/adam
	$(BIN)/adamw-pset heatmaps --optimizers sgd sgdw --out docs/figures/sgd
	$(BIN)/adamw-pset heatmaps --optimizers adamw adamw_torch --out docs/figures/conventions
	$(BIN)/adamw-pset heatmaps --optimizers adam_l2 adamw --plain --out docs/figures/plain
	$(BIN)/adamw-pset heatmaps --data digits --out docs/figures/digits
	$(BIN)/python docs/convolutions.py docs/figures/convolutions
	$(BIN)/adamw-pset heatmaps --knob clusters=20 --knob dim=16 --knob separation=9 --knob n_train=4096 \
		--knob label_noise=0.5 --lrs 0.003 0.3 --decays 1e-6 1 --out docs/figures/crowded
	$(BIN)/adamw-pset heatmaps --grid 9 --seeds 2 --out docs/figures/notebook
	$(BIN)/python -m autograder.assignment.expected_maps

lab: .venv/notebook.done  ## the problem set, in JupyterLab
	$(BIN)/jupyter lab explore_Adam.ipynb

notebook: .venv/autograder.done  ## rebuild every notebook and the numbers behind check from their source
	$(BIN)/python -m autograder.assignment.worked_numbers
	$(BIN)/python -m autograder.assignment.build

demo-course: .venv/autograder.done  ## a class of submissions, graded and given back, in demo-course/
	$(BIN)/python -m autograder demo demo-course

bench: .venv/autograder.done  ## the sweep against torch.optim, torch.func, JAX and the limit; grading against nbgrader
	@test -x .venv-bench/bin/python || $(PYTHON) -m venv .venv-bench
	@.venv-bench/bin/python -m pip install --quiet --disable-pip-version-check 'jax==0.10.2' || \
		{ echo "JAX could not be installed: measured without it"; rm -rf .venv-bench; }
	$(BIN)/python benchmarks/sweep.py $(if $(WRITE),--write)
	PYTHONPATH=. $(BIN)/python benchmarks/grading.py $(if $(WRITE),--write)

test: .venv/test.done  ## the whole test suite, with linter and type checker
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff format --check --line-length 88 autograder/source/explore_Adam.py
	$(BIN)/mypy
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

lint: .venv/test.done
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff format --line-length 88 autograder/source/explore_Adam.py
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/mypy

clean:
	rm -rf .venv build *.egg-info .pytest_cache .mypy_cache .ruff_cache

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed: make PYTHON=python3.12 …"; exit 1; }
	@$(PYTHON) -m venv .venv || \
		{ echo "venv is missing; on Debian or Ubuntu: sudo apt-get install python3-venv"; rm -rf .venv; exit 1; }

.venv/core.done: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv …"
	@$(PIP_INSTALL) .
	@touch $@

.venv/%.done: .venv/bin/python pyproject.toml constraints.txt
	@echo "Installing into .venv, with what '$*' needs …"
	@$(PIP_INSTALL) '.[$*]'
	@touch $@ .venv/core.done
