# One command for everything; `make help` lists them.  Needs GNU make and Python >= 3.10 with venv.

PYTHON ?= python3
# further arguments for pip, for example the index of a mirror or --find-links FOLDER with a CPU build of torch
PIP_ARGS ?=
ARGS ?=
# torch, or onnx for a .venv with ONNX Runtime instead of torch; empty: what is there, torch where nothing is
ENGINE ?=

VENV := .venv
VENV_PYTHON := $(VENV)/bin/python
TORCH_STAMP := $(VENV)/.installed
ONNX_STAMP := $(VENV)/.installed-onnx
ifeq ($(ENGINE),)
LABEL_STAMP := $(firstword $(wildcard $(TORCH_STAMP) $(ONNX_STAMP)) $(TORCH_STAMP))
else ifeq ($(ENGINE),onnx)
LABEL_STAMP := $(ONNX_STAMP)
else
LABEL_STAMP := $(TORCH_STAMP)
endif
DEV_STAMP := $(VENV)/.installed-dev
# the tests of the Slicer module on another version of slicer-core than pip's newest, without torch
SLICER_CORE ?= 5.12.4
SLICER_VENV := .venv-slicer
SLICER_PYTHON := $(SLICER_VENV)/bin/python
SLICER_STAMP := $(SLICER_VENV)/.installed-$(SLICER_CORE)
# the viewer: trame-slicer has a slicer-core of its own, and ONNX Runtime labels, without torch
VIEW_VENV := .venv-view
VIEW_PYTHON := $(VIEW_VENV)/bin/python
VIEW_STAMP := $(VIEW_VENV)/.installed
VIEW_TEST_STAMP := $(VIEW_VENV)/.installed-test
SAMPLE_CT := VertebraLabeling/Resources/SampleData/VertebraLabelingPhantom.nrrd

.DEFAULT_GOAL := help
.PHONY: help setup label view test test-slow test-gpu test-slicer test-view lint audit bench screenshots clean

help: ## list the commands
	@grep -E '^[a-z-]+:.*## ' Makefile | sed -E 's/^([a-z-]+):.*## (.*)/  make \1@\2/' | column -t -s '@' 2>/dev/null \
		|| grep -E '^[a-z-]+:.*## ' Makefile

setup: $(LABEL_STAMP) ## make .venv with what labelling needs; ENGINE=onnx: without torch

label: $(LABEL_STAMP) ## label a scan: make label CT=<file or DICOM folder> [OUT=<dir>] [ENGINE=onnx] [ARGS=...]; without CT a phantom
	@set -eu; ct=$${CT:-}; out=$${OUT:-out}; synthetic=; \
	mkdir -p "$$out"; \
	if [ -z "$$ct" ]; then \
		ct=$$out/phantom.nii.gz; synthetic=--phantom; \
		echo "No CT given (make label CT=<file>): making a PHANTOM, a synthetic CT, and labelling that."; \
		$(VENV_PYTHON) -m training phantom --output "$$ct"; \
	fi; \
	name=$$(basename -- "$$ct"); name=$${name%.gz}; \
	case $$name in *.nii|*.nrrd|*.nhdr|*.mha|*.mhd|*.dcm) name=$${name%.*};; esac; \
	$(VENV_PYTHON) -m VertebraLabelingLib.predict label "$$ct" --output "$$out/$$name.mrk.json" --csv "$$out/$$name.csv" \
		--preview "$$out/$$name.png" $$synthetic $(if $(ENGINE),--engine $(ENGINE)) $(ARGS); \
	if [ -n "$$synthetic" ]; then echo "This was a PHANTOM, a synthetic CT, not a patient."; fi

view: $(VIEW_STAMP) ## label and correct in the browser, without Slicer: make view [CT=<file or DICOM folder>] [OUT=<dir to save in>] [ARGS=...]
	@set -eu; ct=$${CT:-}; out=$${OUT:-}; \
	if [ -z "$$ct" ]; then out=$${out:-out}; fi; \
	if [ -n "$$out" ]; then mkdir -p "$$out"; set -- --folder "$$out"; else set --; fi; \
	if [ -z "$$ct" ]; then \
		ct=$$out/$(notdir $(SAMPLE_CT)); cp $(SAMPLE_CT) "$$ct"; \
		echo "No CT given (make view CT=<file>): opening a PHANTOM, a synthetic CT, not a patient."; \
	fi; \
	exec $(VIEW_PYTHON) -m VertebraLabelingLib.predict view "$$ct" "$$@" $(ARGS)

test: $(DEV_STAMP) ## the quick tests
	$(VENV_PYTHON) -m pytest -m "not slow and not slicer and not gpu" $(ARGS)

test-slow: $(DEV_STAMP) ## the slow tests; with VERTEBRA_FUZZ_SEED=<number> in front other damaged files
	$(VENV_PYTHON) -m pytest -m "slow and not slicer and not gpu" $(ARGS)

test-slicer: $(SLICER_STAMP) ## the Slicer module's quick tests on a chosen slicer-core: make test-slicer [SLICER_CORE=5.12.4]
	$(SLICER_PYTHON) -m pytest -m "not slow and not slicer and not gpu" Testing/mrml Testing/widget $(ARGS)

test-gpu: $(DEV_STAMP) ## the tests that need a CUDA device; they are skipped without one
	$(VENV_PYTHON) -m pytest -m "gpu and not slicer" $(ARGS)

test-view: $(VIEW_TEST_STAMP) ## the browser tests, in headless Chromium (Debian: apt install chromium; else CHROMIUM=<path>)
	@[ -n "$${CHROMIUM:-}" ] || command -v chromium >/dev/null || command -v google-chrome >/dev/null \
		|| { echo "No Chromium was found: apt install chromium, or make test-view CHROMIUM=<path>"; exit 1; }
	$(VIEW_PYTHON) -m pytest Testing/browser $(ARGS)

lint: $(DEV_STAMP) ## style and types
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

audit: $(DEV_STAMP) ## known security holes of the packages in .venv, of the Slicer module and of the viewer; skipped without a network
	-@$(VENV_PYTHON) -m pip install --quiet $(PIP_ARGS) pip-audit
	@$(VENV_PYTHON) Testing/audit.py

bench: $(DEV_STAMP) ## time and memory: a whole body beside a plain U-Net, and a training step
	$(VENV_PYTHON) -m training bench $(ARGS)

screenshots: $(DEV_STAMP) ## make the pictures of the Slicer module anew: make screenshots [ARGS="--only run unsure"]
	PYTHONPATH=Testing $(VENV_PYTHON) -m harness.screenshots $(ARGS)

clean: ## remove .venv, .venv-slicer, .venv-view and caches
	rm -rf $(VENV) $(SLICER_VENV) $(VIEW_VENV) .pytest_cache .mypy_cache .ruff_cache .hypothesis build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV_PYTHON):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "Python >= 3.10 is needed: make PYTHON=<path>"; exit 1; }
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }

$(TORCH_STAMP): pyproject.toml | $(VENV_PYTHON)
	$(VENV_PYTHON) -m pip install --quiet $(PIP_ARGS) --editable .
	@touch $@

# everything but torch, with some extras in its place, read from what pip has noted of the package
REQUIREMENTS_WITHOUT_TORCH = -c 'from importlib.metadata import requires; import sys; \
	wanted = [f"extra == \"{extra}\"" for extra in sys.argv[1:]]; \
	print(*(r.partition(";")[0] for r in requires("vertebra-labeling") \
		if ("extra ==" not in r and not r.startswith("torch")) or any(r.endswith(w) for w in wanted)), sep="\n")'

$(ONNX_STAMP): pyproject.toml | $(VENV_PYTHON)
	$(VENV_PYTHON) -m pip install --quiet $(PIP_ARGS) --no-deps --editable .
	$(VENV_PYTHON) $(REQUIREMENTS_WITHOUT_TORCH) light > $(VENV)/light.txt
	$(VENV_PYTHON) -m pip install --quiet $(PIP_ARGS) --requirement $(VENV)/light.txt
	@touch $@

$(SLICER_STAMP): pyproject.toml
	$(PYTHON) -m venv $(SLICER_VENV)
	$(SLICER_PYTHON) -m pip install --quiet $(PIP_ARGS) --no-deps --editable .
	$(SLICER_PYTHON) $(REQUIREMENTS_WITHOUT_TORCH) light dicom slicer > $(SLICER_VENV)/slicer.txt
	$(SLICER_PYTHON) -m pip install --quiet $(PIP_ARGS) --requirement $(SLICER_VENV)/slicer.txt \
		slicer-core==$(SLICER_CORE) pytest hypothesis psutil
	@rm -f $(SLICER_VENV)/.installed-*
	@touch $@

$(VIEW_STAMP): pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' \
		|| { echo "Python >= 3.10 is needed: make PYTHON=<path>"; exit 1; }
	$(PYTHON) -m venv $(VIEW_VENV) || { rm -rf $(VIEW_VENV); echo "On Debian and Ubuntu: apt install python3-venv"; exit 1; }
	@echo "Setting up the viewer's own environment; the first time this takes some minutes and 1.6 GB."
	$(VIEW_PYTHON) -m pip install --quiet $(PIP_ARGS) --no-deps --editable .
	$(VIEW_PYTHON) $(REQUIREMENTS_WITHOUT_TORCH) light dicom view > $(VIEW_VENV)/view.txt
	$(VIEW_PYTHON) -m pip install --quiet $(PIP_ARGS) --requirement $(VIEW_VENV)/view.txt
	@touch $@

$(VIEW_TEST_STAMP): $(VIEW_STAMP)
	$(VIEW_PYTHON) -m pip install --quiet $(PIP_ARGS) pytest playwright
	@touch $@

$(DEV_STAMP): $(TORCH_STAMP)
	$(VENV_PYTHON) -m pip install --quiet $(PIP_ARGS) --editable ".[train,slicer,dicom,dev]"
	@touch $@
