# make figures   execute every notebook, regenerate every figure      (PRESET=photos: on photographs;
#                PRESET=voc2012 or ilsvrc2012 ASSETS=DATA: the published tables on the full data sets)
# make test      unit tests, parity, notebook contract, nbval
# make lab       JupyterLab on notebooks/
# make train     train both scene networks anew
# make results   measure everything that the notebooks read, in build/results, and copy it to data/results (long; resumable)
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

lint: .venv/.installed
	$(BIN)/python -m ruff check camutils tests

clean:
	rm -rf .venv build

# Measurements that the notebooks read. ASSETS: a folder that holds ILSVRC/ and VOCdevkit/; without it only the scenes are measured.
BENCH := $(BIN)/python -m camutils benchmark
FAMILY := grad_cam,grad_cam_pp,layer_cam,hires_cam
FAMILY_AT = $(FAMILY),grad_cam:layer=$(1),grad_cam_pp:layer=$(1),layer_cam:layer=$(1),hires_cam:layer=$(1)
LOCATE := pointing,energy,drop,increase
ALL := $(LOCATE),deletion,insertion

comma := ,
empty :=
list = $(subst $(empty) ,$(comma),$(strip $(1)))
ICAM := integrative_cam
PAPER := $(ICAM):preset=paper
BIASES := $(foreach b,none residual fullgrad classifier,$(ICAM):bias=$(b) $(PAPER):bias=$(b))
LINKS := $(foreach f,linear exp softplus sigmoid tanh square softmax log_odds,$(PAPER):link=$(f))
RULES := product sum gradient activation uniform contribution last
FUSIONS := $(foreach w,alpha gradient pixel pixel_positive,$(foreach l,$(RULES),$(ICAM):channel_weight=$(w):layer_weight=$(l)))
GIG := gig_cam
LINE := integrated_grad_cam:steps=30
FREE := $(foreach o,lowest highest random,$(GIG):max_dist=1.0:order=$(o))
STEER := $(LINE) $(GIG) $(GIG):max_dist=0.2 $(GIG):max_dist=1.0 $(GIG):order=highest $(GIG):order=random $(wordlist 2,3,$(FREE)) \
  $(GIG):baseline=mean $(GIG):baseline=blur $(GIG):steps=10
PATHS := $(STEER) $(GIG):max_dist=0.1 $(foreach f,0.1 0.5 1.0,$(GIG):fraction=$(f)) $(LINE):baseline=mean $(LINE):baseline=blur \
  $(GIG):steps=5 $(GIG):steps=100 $(GIG):accumulate=released
M := grad_cam+M
RATIOS := grad_cam $(M) $(foreach r,plain root regularised gate mean,$(M):ratio=$(r)) $(M):pooling=released $(M):pooling=previous \
  $(M):pooling=previous:ratio=plain layer_cam layer_cam+M layer_cam+M:ratio=mean
S2 := 1,1.4464285714285714
S3 := $(S2),1.8928571428571428
S5 := $(S3),2.3392857142857144,2.7857142857142856
SCALES := $(RATIOS) $(M):scales=[$(S2)] $(M):scales=[$(S3)] $(M):scales=[$(S5)]
OUT := --out build/results
KEEP := config.json notes.csv results.csv summary.csv

results: .venv/.installed
	$(BENCH) --dataset scenes --model scenes_resnet --methods $(call FAMILY_AT,layer3) --metrics $(ALL) --limit 200 $(OUT)/02_scenes_resnet
	$(BENCH) --dataset scenes --model scenes_vgg --methods $(call FAMILY_AT,features.9) --metrics $(ALL) --limit 200 $(OUT)/02_scenes_vgg
	for net in scenes_resnet scenes_vgg; do \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(ALL) --methods $(ICAM),$(PAPER) $(OUT)/10_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 100 --metrics $(ALL) --methods $(call list,$(BIASES)) $(OUT)/11_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods $(call list,$(LINKS)) $(OUT)/12_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 150 --metrics $(LOCATE) --split tune --methods $(FAMILY),$(call list,$(FUSIONS)) $(OUT)/13_tune_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods $(call list,$(FUSIONS)) $(OUT)/13_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(ALL) --methods integrated_grad_cam,$(GIG) $(OUT)/20_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(ALL) --methods gig_cam_m $(OUT)/20m_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods $(call list,$(PATHS)) $(OUT)/21_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 150 --metrics $(LOCATE) --split tune --methods "$(call list,$(RATIOS))" $(OUT)/22_tune_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods "$(call list,$(SCALES) integrated_grad_cam+M)" $(OUT)/22_$$net || exit 1; \
	done
ifneq ($(ASSETS),)
	for net in mobilenet_v2 squeezenet1_1; do \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods $(FAMILY) --metrics $(ALL) $(OUT)/02_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --methods $(FAMILY) --metrics $(LOCATE) $(OUT)/02_voc_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --split val --limit 50 --metrics $(LOCATE) --methods $(FAMILY),$(call list,$(FUSIONS)) $(OUT)/13_tune_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods $(ICAM),$(PAPER) --metrics $(ALL) $(OUT)/10_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --methods $(ICAM),$(PAPER) --metrics $(LOCATE) $(OUT)/10_voc_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods integrated_grad_cam,$(GIG) --metrics $(LOCATE) $(OUT)/20_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --methods integrated_grad_cam,$(GIG) --metrics $(LOCATE) $(OUT)/20_voc_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods "gig_cam_m:scales=[$(S3)]" --metrics $(LOCATE) $(OUT)/20m_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --split val --limit 50 --metrics $(LOCATE) --methods "$(call list,$(RATIOS))" $(OUT)/22_tune_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods "$(call list,$(SCALES))" --metrics $(LOCATE) $(OUT)/22_imagenet_$$net || exit 1; \
	done
	$(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model mobilenet_v2 --methods $(call list,$(STEER)) --metrics $(LOCATE) $(OUT)/21_imagenet_mobilenet_v2
endif
	for run in build/results/*; do mkdir -p data/results/$${run##*/} && (cd $$run && cp $(KEEP) ../../../data/results/$${run##*/}) || exit 1; done
