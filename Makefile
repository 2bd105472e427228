# make figures   execute every notebook, regenerate every figure      (PRESET=photos: on photographs;
#                PRESET=voc2012 or ilsvrc2012 ASSETS=DATA: the published tables on the full data sets)
# make test      unit tests, parity, notebook contract, nbval
# make lab       JupyterLab on notebooks/
# make train     train the scene networks anew
# make results   measure what data/experiments ask (camutils results), in build/results, kept in data/results (long; resumable;
#                ASSETS=DATA: a folder that holds ILSVRC/ and VOCdevkit/; without it only the scenes are measured)
PYTHON ?= python3
PRESET ?= scenes
ASSETS ?= $(CAMUTILS_ASSETS)
BIN := .venv/bin

.PHONY: figures test lab train lint results clean

.venv/.installed: pyproject.toml
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or newer is needed; make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --editable '.[test]'
	touch $@

figures: .venv/.installed
	CAMUTILS_ASSETS=$(ASSETS) $(BIN)/python -m camutils render --preset $(PRESET)

test: .venv/.installed
	$(BIN)/python -m ruff check camutils tests
	$(BIN)/python -m pytest

lab: .venv/.installed
	$(BIN)/jupyter lab notebooks

train: .venv/.installed
	$(BIN)/python -m camutils train scenes_resnet
	$(BIN)/python -m camutils train scenes_vgg
	$(BIN)/python -m camutils train scenes_resnet_shuffled

lint: .venv/.installed
	$(BIN)/python -m ruff check camutils tests

clean:
	rm -rf .venv build

BATCH := 8# with an accelerator 32; the numbers agree to rounding

results: .venv/.installed
	CAMUTILS_ASSETS=$(ASSETS) $(BIN)/python -m camutils results --batch $(BATCH)
