# vitkit: image annotations in, checked LLaVA instruction data and a trained LLaVA out. `make` alone lists the targets.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
OUT     = out/data
PYTEST := $(BIN)/python -m pytest -n auto --maxprocesses 8 --dist worksteal
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt

# One flag per variable named after `make`; the environment's MODEL or SEED is somebody else's.
# CAPTIONS and INSTANCES may name several files.
given    = $(if $(filter command,$(origin $(1))),$($(1)))
flag     = $(if $(call given,$(1)),--$(2) '$(call given,$(1))')
RUN_FLAGS = $(foreach f,$(call given,CAPTIONS),--captions '$(f)') \
	$(foreach f,$(call given,INSTANCES),--instances '$(f)') \
	$(call flag,IMAGES,images) $(call flag,TEACHER,teacher) $(call flag,MODEL,model) \
	$(call flag,BASE_URL,base-url) $(call flag,REPLIES,replies) $(call flag,PACK,pack) \
	$(call flag,TYPES,types) $(call flag,PROXY,proxy) $(call flag,LIMIT,limit) $(call flag,SEED,seed) \
	$(call flag,CONCURRENCY,concurrency) $(call flag,RPM,rpm) $(call flag,TPM,tpm) \
	$(call flag,MAX_COST,max-cost) $(call flag,PRICES,prices) $(if $(call given,RETRY_FAILED),--retry-failed) \
	$(if $(call given,REPLAN),--replan) \
	$(foreach f,$(call given,EVALUATION_IDS),--evaluation-ids '$(f)') \
	$(foreach f,$(call given,EVALUATION_IMAGES),--evaluation-images '$(f)') \
	$(if $(call given,ALLOW_EVALUATION_IMAGES),--allow-evaluation-images)

# Somebody who has exported one of these means it.
EXPORTED := $(foreach name,CAPTIONS INSTANCES TEACHER BASE_URL PACK,$(if $(filter environment,$(origin $(name))),$(name)))
ifneq ($(strip $(EXPORTED)),)
$(warning not read from the environment: $(strip $(EXPORTED)); put it after make, as in make data $(firstword $(EXPORTED))=...)
endif

# Without DATA, training runs on what `make data` made of the bundled scenes.
MADE        = out/data/llava_instruct.json
TRAIN_FLAGS = --recipe '$(or $(call given,RECIPE),smoke)' --out '$(or $(call given,OUT),out/train)' \
	$(if $(call given,DATA),$(foreach f,$(call given,DATA),--data '$(f)') $(call flag,IMAGES,images) \
	$(foreach f,$(call given,ALIGN_DATA),--align-data '$(f)') $(call flag,ALIGN_IMAGES,align-images),\
	--data $(MADE) --align-data out/data/alignment.json --images '$(or $(call given,IMAGES),examples/scenes/images)') \
	$(foreach s,$(call given,SET),'$(s)')

# On every GPU of this machine, of NODES=N by the same command on each, or of those in a file NODES=hosts.txt.
LAUNCH_FLAGS = $(call flag,GPUS,gpus) $(call flag,NODES,nodes) $(call flag,NODE_RANK,node-rank) \
	$(call flag,MASTER_ADDR,master-addr) $(call flag,MASTER_PORT,master-port)

KNOWN    = PYTHON VENV OUT CAPTIONS INSTANCES IMAGES TEACHER MODEL BASE_URL REPLIES PACK TYPES PROXY LIMIT SEED \
	CONCURRENCY RPM TPM MAX_COST PRICES RETRY_FAILED REPLAN \
	EVALUATION_IDS EVALUATION_IMAGES ALLOW_EVALUATION_IMAGES RECIPE DATA ALIGN_DATA ALIGN_IMAGES SET \
	GPUS NODES NODE_RANK MASTER_ADDR MASTER_PORT
UNKNOWN := $(filter-out $(KNOWN),$(foreach name,$(.VARIABLES),$(if $(filter command,$(origin $(name))),$(name))))
ifneq ($(strip $(UNKNOWN)),)
$(error unknown variable $(UNKNOWN); known are $(KNOWN))
endif

.DEFAULT_GOAL := help
.PHONY: help data quote train test test-all lint schemas clean

help: ## Show this list
	@echo "vitkit: image annotations in, checked LLaVA instruction data and a trained LLaVA out"
	@echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)
	@echo
	@echo "  make data CAPTIONS=captions.json INSTANCES=instances.json [IMAGES=dir] [OUT=dir]"
	@echo "            [TEACHER=openai MODEL=name BASE_URL=url] [PACK=coco] [TYPES=a,b] [LIMIT=n] [SEED=n]"
	@echo "            [CONCURRENCY=n] [RPM=n] [TPM=n] [MAX_COST=dollars] [RETRY_FAILED=1] [REPLAN=1]"
	@echo "  make train RECIPE=llava-1.5-7b DATA=llava_instruct.json IMAGES=dir ALIGN_DATA=alignment.json"
	@echo "            [ALIGN_IMAGES=dir] [OUT=dir] [SET='finetune.epochs=2 ...'] [GPUS=n]"
	@echo "            [NODES=hosts.txt | NODES=n NODE_RANK=i MASTER_ADDR=host] [MASTER_PORT=n]"

data: $(VENV)/.base ## Set up, then make instruction data (from the bundled sample if no files are named)
	$(BIN)/python -m datagen run --out '$(OUT)' $(RUN_FLAGS)

quote: $(VENV)/.base ## Set up, then say what `make data` with the same variables would ask and cost
	$(BIN)/python -m datagen quote --out '$(OUT)' $(filter-out --replan,$(RUN_FLAGS))

train: $(VENV)/.train $(if $(call given,DATA),,$(MADE)) ## Set up, then train both stages (of the tiny `smoke` recipe, on what make data made)
	$(BIN)/python -m train.launch $(LAUNCH_FLAGS) run $(TRAIN_FLAGS)

$(MADE): | $(VENV)/.base
	$(BIN)/python -m datagen run --out out/data

test: $(VENV)/.dev ## Set up, then run every test that needs no GPU, network or key
	$(PYTEST)

test-all: $(VENV)/.dev ## The slow tests too, and a search for new inputs that fail
	$(PYTEST) --slow

lint: $(VENV)/.dev ## Set up, then ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

schemas: $(VENV)/.base ## Write docs/schemas/ again from schemas/
	$(BIN)/python -m schemas docs/schemas

clean: ## Remove what was built (not out/, which holds your data)
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "vitkit needs Python 3.11 or newer; name one: make PYTHON=python3.11 ..." >&2; exit 2; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.base: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Setting up $(VENV) (once)"
	@$(PIP) -e .
	@touch $@

$(VENV)/.train: $(VENV)/.base
	@echo "Adding torch and transformers (once)"
	@$(PIP) -e '.[train]'
	@touch $@

$(VENV)/.dev: $(VENV)/.train
	@echo "Adding the test tools (once)"
	@$(PIP) -e '.[dev,train]'
	@touch $@
