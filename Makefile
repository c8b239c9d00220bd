# The commands a person types; CI types the same ones.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TEXT ?= The boy is sitting on a bench

.DEFAULT_GOAL := help
.PHONY: help train export predict test test-slow test-containers check format lock clean

help:  ## what there is
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/.train: requirements.txt requirements_inference.txt constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "Installing requirements.txt into $(VENV): some minutes, about 2.5 GB"
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.train requirements_dev.txt
	@echo "Installing requirements_dev.txt into $(VENV)"
	$(BIN)/python -m pip install -q -r requirements_dev.txt
	touch $@

train: $(VENV)/.train  ## install, train on what is found, export to ONNX, predict one sentence
	$(BIN)/python train.py $(ARGS)
	$(BIN)/python convert_model_to_onnx.py
	$(BIN)/python inference_onnx.py "$(TEXT)"

export: $(VENV)/.train  ## models/best-checkpoint.ckpt -> models/model.onnx
	$(BIN)/python convert_model_to_onnx.py $(ARGS)

predict: $(VENV)/.train  ## make predict TEXT="..."
	$(BIN)/python inference_onnx.py "$(TEXT)"

test: $(VENV)/.dev  ## install what tests need, run the fast ones
	$(BIN)/python -m pytest

test-slow: $(VENV)/.dev  ## the tests that take minutes
	$(BIN)/python -m pytest -m "slow and not container"

test-containers: $(VENV)/.dev  ## the tests that need a Docker engine
	$(BIN)/python -m pytest -m container

check: $(VENV)/.dev  ## style, types, linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.dev  ## let ruff write what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

lock: $(VENV)/.dev  ## choose all versions anew and write constraints.txt
	$(BIN)/python -m pip install -q uv
	{ echo '# Every package, also the indirect ones, at the version that was tested. Written by `make lock`.'; \
	  grep -hvE '^(-c|-r|#)' requirements*.txt | $(BIN)/uv pip compile - --python-version 3.11 --no-header --no-annotate -q; } > constraints.new
	mv constraints.new constraints.txt

clean:  ## remove the environment and what runs left behind
	rm -rf $(VENV) runs wandb .pytest_cache .mypy_cache .ruff_cache
