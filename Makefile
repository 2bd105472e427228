# make figures      execute every notebook, regenerate every figure      (PRESET=photos: on photographs;
#                   PRESET=voc2012 or ilsvrc2012 ASSETS=DATA: the published tables on the full data sets)
# make test         style, types, unit tests, parity, notebook contract, nbval
# make test-all     the same and the long tests: every method on every architecture
# make fuzz         20 000 random networks and questions, ten times as many as `make test` asks
# make fuzz-readers ten minutes of damaged files and values for everything that reads what others wrote
# make mutants      a sample of faults put into the methods and metrics: does a test see each? (long)
# make coverage     branch coverage of the tests, without the notebooks
# make long         5000 images, killed twice: is memory flat, does speed stay, are the tables the same? (hours)
# make types        the types of every function, checked by mypy (half a minute, then seconds)
# make lab          JupyterLab on notebooks/
# make reproduce    render everything as other machines would, compare with what is committed (half an hour)
# make train        train the scene networks anew
# make results      measure everything that the notebooks read, in build/results, and copy it to data/results (long; resumable)
# make zoo          every method on the networks of timm, transformers, lightning, torchvision: a table (ZOO=--store: in data/zoo.csv)
# make site         the book as static pages, in build/site: open build/site/index.html
# make test-site    build the site twice, compare, and open every page in a browser
# make test-browser open the explorer in JupyterLab, in a browser, and use it
# make lock         renew constraints.txt, the exact versions; make test-lowest: the oldest versions that are accepted
#
# VENV=PATH uses an environment that exists, conda's say (VENV=$$CONDA_PREFIX); LOCK= installs the newest versions instead of the
# exact ones of constraints.txt; PYTHON=python3.12 makes .venv with another Python.
PYTHON ?= python3
VENV ?= .venv
LOCK ?= constraints.txt
PRESET ?= scenes
ASSETS ?= $(CAMUTILS_ASSETS)
BIN := $(VENV)/bin
READY := $(VENV)/.camutils-installed
FITS := import sys; here = sys.version_info[:2]; name = "this is Python %d.%d" % here; \
  here < (3, 11) and sys.exit(name + ", camutils needs 3.11 or newer: make PYTHON=python3.12 ..."); \
  "$(LOCK)" and here > (3, 13) and sys.exit(name + ", $(LOCK) is for 3.11 to 3.13: make PYTHON=python3.13 ..., or LOCK= ...")

.PHONY: figures test test-all fuzz fuzz-readers mutants coverage long test-lowest reproduce lab train types lock results zoo site test-site test-browser clean

$(READY): pyproject.toml $(LOCK)
	@python=$(BIN)/python; test -x $$python || python=$(PYTHON); $$python -c '$(FITS)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import pip' 2> /dev/null || { echo "$(VENV) is half made: rm -r $(VENV), then make again" >&2; exit 1; }
	@echo "installing into $(VENV) (some minutes, once)"
	@$(BIN)/python -m pip install --quiet $(if $(LOCK),--constraint $(LOCK)) --editable '.[book,photos,test]' || \
	  { echo "not installed; the lines above say why. Without a network nothing can be fetched: call make again with one" >&2; exit 1; }
	@touch $@

figures: $(READY)
	CAMUTILS_ASSETS=$(ASSETS) $(BIN)/python -m camutils render --preset $(PRESET)

# files of tests side by side, one on each core; a notebook's cells stay together
SIDE := --numprocesses auto --maxprocesses 4 --dist loadfile

test: $(READY)
	$(BIN)/python -m ruff check camutils tests
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest $(SIDE)

test-all: $(READY)
	$(BIN)/python -m ruff check camutils tests
	$(BIN)/python -m mypy
	$(BIN)/python -m pytest $(SIDE) -m ""

reproduce: $(READY)
	$(BIN)/python -m camutils reproduce

results: $(READY)
	CAMUTILS_ASSETS=$(ASSETS) $(BIN)/python -m camutils results

lab: $(READY)
	$(BIN)/jupyter lab notebooks

train: $(READY)
	for name in scenes_resnet scenes_vgg scenes_resnet_shuffled scenes_resnet_seed1 scenes_resnet_seed2 \
	  scenes_vgg_seed1 scenes_vgg_seed2; do $(BIN)/python -m camutils train $$name || exit 1; done

fuzz: $(READY)
	FUZZ=2000 $(BIN)/python -m pytest -p no:nbval --override-ini addopts=-q $(SIDE) tests/properties

CHECKS := $(BIN)/python -m pip install --quiet $(if $(LOCK),--constraint $(LOCK)) --editable '.[checks]'

fuzz-readers: $(READY)
	$(CHECKS)
	$(BIN)/python tests/fuzzing/readers.py

mutants: $(READY)
	$(CHECKS)
	$(BIN)/python tests/mutation/mutants.py

coverage: $(READY)
	$(CHECKS)
	$(BIN)/python -m pytest -p no:nbval --override-ini addopts='-q --strict-markers' -m 'not long and not site and not browser' \
	  --cov=camutils --cov-branch --cov-report=json:build/coverage.json $(SIDE) tests
	$(BIN)/python tests/mutation/covered.py build/coverage.json

long: $(READY)
	$(CHECKS)
	CAMUTILS_ASSETS=$(ASSETS) $(BIN)/python tests/long_runs/long_runs.py

types: $(READY)
	$(BIN)/python -m mypy

zoo: $(READY)
	$(BIN)/python -m pip install --quiet $(if $(LOCK),--constraint $(LOCK)) --editable '.[zoo]'
	$(BIN)/python tests/zoo/table.py $(ZOO)

SITE := $(BIN)/python -m pip install --quiet $(if $(LOCK),--constraint $(LOCK)) --editable '.[site]'

site: $(READY)
	$(SITE)
	$(BIN)/python -m camutils site

test-site: $(READY)
	$(SITE)
	$(BIN)/python -m pytest -p no:nbval --override-ini addopts='-q --strict-markers' -m site tests/site

test-browser: $(READY)
	$(SITE)
	$(BIN)/python -m pytest -p no:nbval --override-ini addopts='-q --strict-markers' -m browser tests/browser

# uv resolves versions for every system and Python at once; it is a tool of its own folder, no dependency.
UV := build/tools/bin/uv
TORCH ?= 2.14.1
TORCHVISION ?= 0.29.1

$(UV):
	$(PYTHON) -m venv build/tools
	build/tools/bin/python -m pip install --quiet uv

lock: $(UV)
	printf 'torch==$(TORCH)\ntorchvision==$(TORCHVISION)\n' > build/pair.txt
	$(UV) pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 --no-annotate \
	  --extra book --extra photos --extra site --extra test --constraint build/pair.txt --custom-compile-command "make lock" --output-file constraints.txt pyproject.toml

test-lowest: $(UV)
	$(UV) venv --quiet --clear --seed --python $(PYTHON) build/lowest
	$(UV) pip install --quiet --python build/lowest --resolution lowest-direct --editable '.[book,photos,test]'
	build/lowest/bin/python -m pytest -p no:nbval --override-ini addopts=-q tests --ignore tests/book/test_notebooks.py

clean:
	rm -rf .venv build
