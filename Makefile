# make figures   execute every notebook, regenerate every figure      (PRESET=photos: on photographs;
#                PRESET=voc2012 or ilsvrc2012 ASSETS=DATA: the published tables on the full data sets)
# make test      unit tests, parity, notebook contract, nbval
# make lab       JupyterLab on notebooks/
# make train     train the scene networks anew
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
	$(BIN)/python -m camutils train scenes_resnet_shuffled

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
FREE := $(foreach o,highest random,$(GIG):max_dist=1.0:order=$(o))
PATHS := $(LINE) $(GIG) $(GIG):max_dist=0.2 $(GIG):max_dist=1.0 $(GIG):order=highest $(GIG):order=random $(FREE) \
  $(GIG):baseline=mean $(GIG):baseline=blur $(GIG):steps=10 $(GIG):max_dist=0.1 $(foreach f,0.1 0.5 1.0,$(GIG):fraction=$(f)) $(LINE):baseline=mean $(LINE):baseline=blur \
  $(GIG):steps=5 $(GIG):steps=100 $(GIG):accumulate=released
M := grad_cam+M
RATIOS := grad_cam $(M) $(foreach r,plain root regularised gate mean,$(M):ratio=$(r)) $(M):pooling=released $(M):pooling=previous \
  $(M):pooling=previous:ratio=plain layer_cam layer_cam+M layer_cam+M:ratio=mean
S2 := 1,1.4464285714285714
S3 := $(S2),1.8928571428571428
S5 := $(S3),2.3392857142857144,2.7857142857142856
SCALES := $(RATIOS) $(M):scales=[$(S2)] $(M):scales=[$(S3)] $(M):scales=[$(S5)]
C := cluster_cam
MERGES := $(foreach n,3 5 8 10 20,$(foreach m,cut weighted_cut soft soft_cut base,$(C):n_clusters=$(n):merge=$(m))) \
  $(C):baseline=blur $(C):baseline=mean $(C):baseline=blur:merge=soft
COUNTS := $(foreach n,2 3 5 8 10 15 20 30 50 100,$(foreach m,cut soft,$(C):n_clusters=$(n):merge=$(m))) \
  $(foreach n,5 10 20,$(foreach k,random consecutive,$(foreach m,cut soft,$(C):n_clusters=$(n):clustering=$(k):merge=$(m)))) \
  $(foreach m,cut soft,$(C):clustering=spectral:merge=$(m) $(C):n_clusters=elbow:merge=$(m)) \
  $(foreach s,1 2 3 4,$(C):seed=$(s) $(C):seed=$(s):merge=soft)
blurred = $(foreach n,$(1),$(foreach m,$(2),$(C):n_clusters=$(n):merge=$(m):baseline=$(3)))
SCORE_BLUR := $(C):n_clusters=5000:merge=soft:baseline=blur
BLUR := $(call blurred,8 5,soft_cut,blur) $(call blurred,8,soft cut,blur) $(call blurred,8,soft_cut,blur:clustering=spectral) \
  $(call blurred,8,soft_cut,blur:clustering=random) $(call blurred,elbow,soft_cut,blur) $(SCORE_BLUR) $(call blurred,8,soft_cut,mean)
BLUR_TUNE := score_cam grad_cam $(call blurred,5 8 9 11,cut soft soft_cut weighted_cut,blur) $(call blurred,8 11,soft soft_cut,mean) \
  $(call blurred,8 9,soft soft_cut,blur:clustering=spectral) $(call blurred,elbow,soft soft_cut,blur) \
  $(call blurred,8 9,soft soft_cut,blur:clustering=random) $(SCORE_BLUR) $(call blurred,9 11,cut soft soft_cut,black) \
  $(call blurred,9,cut soft soft_cut,blur:seed=1) $(call blurred,9,cut soft soft_cut,blur:seed=2)
X := combined_cam
TWO := path=point path=line scales=[1$(comma)1.5]
CROSS := $(foreach w,gradient alpha pixel pixel_positive,$(foreach l,last contribution,$(foreach c,none shared gradient_cut cut, \
  $(foreach p,$(TWO),$(X):channel_weight=$(w):layer_weight=$(l):clustering=$(c):$(p))))) \
  $(foreach c,none cut,$(foreach p,path=point scales=[1$(comma)1.5],$(X):channel_weight=score:layer_weight=last:clustering=$(c):$(p)))
AXES := $(foreach o,channel_weight=gradient channel_weight=alpha channel_weight=pixel layer_weight=last \
  layer_weight=last:channel_weight=gradient clustering=none clustering=shared clustering=gradient_cut scales=[1$(comma)1.5] \
  scales=[1$(comma)1.5]:clustering=gradient_cut path=line n_clusters=4 n_clusters=16,$(X):$(o))
TUNED := $(call blurred,8,soft_cut,blur)
COMPARED = $(FAMILY),$(ICAM),integrated_grad_cam,$(GIG),score_cam,$(C),$(TUNED),$(X),layer_cam:layer=$(1)
AGAIN := energy,adcc,coherency,complexity,sensitivity,infidelity,road
SANITY := $(BIN)/python -m camutils sanity
CHECKED := $(FAMILY),$(ICAM),integrated_grad_cam,$(GIG),gig_cam_m:steps=10:scales=[1,1.5,2],score_cam,$(C),$(X)
BATCH := 8# with an accelerator 32; the numbers agree to rounding
OUT := --batch $(BATCH) --out build/results
KEEP := config.json notes.csv results.csv summary.csv

results: .venv/.installed
	$(BENCH) --dataset scenes --model scenes_resnet --methods $(call FAMILY_AT,layer3) --metrics $(ALL) --limit 200 $(OUT)/02_scenes_resnet
	$(BENCH) --dataset scenes --model scenes_vgg --methods $(call FAMILY_AT,features.9) --metrics $(ALL) --limit 200 $(OUT)/02_scenes_vgg
	$(BENCH) --dataset scenes --model scenes_resnet --methods $(call COMPARED,layer3) --metrics $(AGAIN) --limit 32 $(OUT)/40_scenes_resnet
	$(BENCH) --dataset scenes --model scenes_vgg --methods $(call COMPARED,features.9) --metrics $(AGAIN) --limit 32 $(OUT)/40_scenes_vgg
	for net in scenes_resnet scenes_vgg; do \
	  $(BENCH) --dataset scenes --model $$net --limit 8 --metrics $(AGAIN) --methods grad_cam,gig_cam_m $(OUT)/40_multi_scale_$$net && \
	  $(SANITY) --dataset scenes --model $$net --limit 24 --methods "$(CHECKED)" $(OUT)/42_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(ALL) --methods $(ICAM),$(PAPER) $(OUT)/10_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 100 --metrics $(ALL) --methods $(call list,$(BIASES)) $(OUT)/11_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods $(call list,$(LINKS)) $(OUT)/12_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 150 --metrics $(LOCATE) --split tune --methods $(FAMILY),$(call list,$(FUSIONS)) $(OUT)/13_tune_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods $(call list,$(FUSIONS)) $(OUT)/13_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(ALL) --methods integrated_grad_cam,$(GIG) $(OUT)/20_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(ALL) --methods gig_cam_m $(OUT)/20_multi_scale_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods $(call list,$(PATHS)) $(OUT)/21_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 150 --metrics $(LOCATE) --split tune --methods "$(call list,$(RATIOS))" $(OUT)/22_tune_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods "$(call list,$(SCALES) integrated_grad_cam+M)" $(OUT)/22_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(ALL) --methods score_cam,$(C) $(OUT)/30_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 100 --metrics $(LOCATE) --methods $(call list,score_cam $(COUNTS)) $(OUT)/31_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods $(call list,$(MERGES)) $(OUT)/32_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 150 --metrics $(LOCATE) --split tune --methods $(call list,grad_cam score_cam $(MERGES)) $(OUT)/32_tune_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 150 --metrics $(LOCATE) --split tune --methods $(call list,$(BLUR_TUNE)) $(OUT)/32_blurred_baseline_tune_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(ALL) --methods $(call list,$(BLUR)) $(OUT)/32_blurred_baseline_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 75 --metrics $(LOCATE) --split tune --methods "$(call list,$(CROSS))" $(OUT)/43_tune_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(ALL) --methods $(X) $(OUT)/43_$$net && \
	  $(BENCH) --dataset scenes --model $$net --limit 200 --metrics $(LOCATE) --methods "$(call list,$(AXES))" $(OUT)/43_axes_$$net || exit 1; \
	done
ifneq ($(ASSETS),)
	for net in mobilenet_v2 squeezenet1_1; do \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods $(FAMILY) --metrics $(ALL) $(OUT)/02_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --methods $(FAMILY) --metrics $(LOCATE) $(OUT)/02_voc_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --split val --limit 50 --metrics $(LOCATE) --methods $(FAMILY),$(call list,$(FUSIONS)) $(OUT)/13_tune_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods $(ICAM),$(PAPER) --metrics $(ALL) $(OUT)/10_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --methods $(ICAM),$(PAPER) --metrics $(LOCATE) $(OUT)/10_voc_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods integrated_grad_cam,$(GIG) --metrics $(ALL) $(OUT)/20_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --methods integrated_grad_cam,$(GIG) --metrics $(LOCATE) $(OUT)/20_voc_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods "gig_cam_m,gig_cam_m:scales=[$(S3)]" --metrics $(LOCATE) $(OUT)/20_multi_scale_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --methods gig_cam_m --metrics $(LOCATE) $(OUT)/20_multi_scale_voc_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods $(call list,$(PATHS)) --metrics $(LOCATE) $(OUT)/21_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --split val --limit 50 --metrics $(LOCATE) --methods "$(call list,$(RATIOS))" $(OUT)/22_tune_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods "$(call list,$(SCALES))" --metrics $(LOCATE) $(OUT)/22_imagenet_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods score_cam,$(C) --metrics $(ALL) $(OUT)/30_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --methods score_cam,$(C) --metrics $(LOCATE) $(OUT)/30_voc_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods $(call list,$(COUNTS)) --metrics $(LOCATE) $(OUT)/31_imagenet_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods $(call list,$(MERGES)) --metrics $(LOCATE) $(OUT)/32_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --split val --limit 50 --metrics $(LOCATE) --methods $(call list,grad_cam score_cam $(MERGES)) $(OUT)/32_tune_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --split val --limit 50 --metrics $(LOCATE) --methods $(call list,$(BLUR_TUNE)) $(OUT)/32_blurred_baseline_tune_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --methods $(call list,$(BLUR)) --metrics $(ALL) $(OUT)/32_blurred_baseline_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --methods $(call list,$(BLUR)) --metrics $(LOCATE) $(OUT)/32_blurred_baseline_voc_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --split val --limit 32 --metrics $(LOCATE) --methods "$(call list,$(CROSS))" $(OUT)/43_tune_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --metrics $(ALL) --methods $(X) $(OUT)/43_imagenet_$$net && \
	  $(BENCH) --dataset imagenet --root $(ASSETS)/ILSVRC --model $$net --metrics $(LOCATE) --methods "$(call list,$(AXES))" $(OUT)/43_axes_imagenet_$$net && \
	  $(BENCH) --dataset voc --root $(ASSETS) --model $$net --metrics $(LOCATE) --methods $(X) $(OUT)/43_voc_$$net || exit 1; \
	done
endif
	for run in build/results/*; do mkdir -p data/results/$${run##*/} && (cd $$run && cp $(KEEP) ../../../data/results/$${run##*/}) || exit 1; done
