# make demo | page | suite | bench | test | test-portable | learn | chaos | check | format | docs | gpu | clean. Each sets up .venv first, once, and again when pyproject.toml changes.
VENV ?= .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.DEFAULT_GOAL := test
.PHONY: demo page suite bench test test-portable learn chaos check format docs gpu clean

demo: $(STAMP)
	$(BIN)/python -m isaachrl.run.demo

# a static folder in which shipped policies are steered in the browser: python -m http.server -d runs/page/web
page: $(STAMP)
	for name in HumanoidDodge HumanoidDribble HumanoidLocation HumanoidPush HumanoidSteering HumanoidTopple \
		HumanoidTrajectory mazes; do \
		$(BIN)/python train.py mode=export target=web checkpoint=$$name run_dir=runs/page || exit 1; \
	done

# every task over the skill, in hours; ARGS=quick=true takes 20 minutes on two cores, ARGS="tasks=A,B seeds=1" does a part
OUT ?= runs/suite
suite: $(STAMP)
	$(BIN)/python -m isaachrl.run.suite out=$(OUT) $(ARGS)

# this project beside other libraries on this machine, then trainings to a goal on one core, which take hours;
# ARGS=quick=true leaves those out and takes some minutes. mjbatch needs another MuJoCo, so it has an interpreter of its own.
bench: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[bench]'
	test -x $(VENV)/mjbatch/bin/python || $(BIN)/python -m venv $(VENV)/mjbatch
	-$(VENV)/mjbatch/bin/python -m pip install -q --disable-pip-version-check mjbatch
	$(BIN)/python benchmarks/bench.py $(ARGS)

# a file of tests at a time in each process: tests of one file share what they train
PYTEST := $(BIN)/pytest -q -n auto --maxprocesses=4 --dist=loadfile
test: $(STAMP)
	$(PYTEST) $(ARGS)

# the numeric folders without the vector instructions that only newer processors have
NUMERIC := tests/maths tests/nn tests/motion tests/sim tests/envs tests/hierarchy tests/learn tests/tasks
test-portable: $(STAMP)
	ATEN_CPU_CAPABILITY=default ONEDNN_MAX_CPU_ISA=SSE41 OMP_NUM_THREADS=1 $(PYTEST) $(ARGS) $(NUMERIC)

# tests that train until something is learned; ARGS=--seeds=10 shows how far the seeds lie apart
learn: $(STAMP)
	$(BIN)/pytest -q -n auto --maxprocesses=4 -m learn $(ARGS)

# tests that break runs and files on purpose; ARGS=--chaos-seed=2 draws other moments, ARGS=--chaos-quick runs a part
chaos: $(STAMP)
	OMP_NUM_THREADS=1 $(BIN)/pytest -q -n 2 -m chaos $(ARGS) tests/chaos

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/lint-imports

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# the site of the pages, in build/site; every warning is an error, and the notebook must run
docs: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[docs]'
	$(BIN)/mkdocs build --strict
	$(BIN)/pytest -q tests/test_tour.py

# on a machine with an NVIDIA GPU: what needs one is tested, then measured, whether or not all tests passed; the
# benchmarks print one JSON line each
gpu: $(STAMP)
	$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e '.[gpu]'
	@bash .ci/gpu $(BIN)

$(STAMP): pyproject.toml setup.py constraints.txt
	@bash .ci/venv $(VENV)
	@touch $@

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .hypothesis .import_linter_cache .grimp_cache
	find . -path ./runs -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
