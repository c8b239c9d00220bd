# The commands that people run; CI runs the same ones.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
TOOLS := .venv-tools/bin
REMOTE ?= model-store
CORPUS ?= corpus
IMAGE ?= cola

# The recipes take the sentence from the environment, so that neither make nor a shell reads its
# dollars and quotes, and behind `--`, so that one with a dash in front is no option.
TEXT ?= The boy is sitting on a bench
override TEXT := $(value TEXT)
export TEXT

.DEFAULT_GOAL := help
.PHONY: help train export predict serve up down env demo provision drift \
        model-push model-pull model-log model-compare model-promote images deploy destroy invoke rollback \
        test test-slow test-containers tools check format readme lock digests secrets audit sbom clean

help:  ## list the targets
	@grep -hE '^[a-z -]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 26

# --- set up ---------------------------------------------------------------------------------------
# The versions that torch and onnxruntime have wheels for.
CHECK_PYTHON := import sys; (3, 11) <= sys.version_info < (3, 15) or sys.exit( \
  "error: $(PYTHON) is not Python 3.11 to 3.14: name one that is, as in make PYTHON=python3.12 train")

# Make an environment, unless there is one with pip, which Debian without python3-venv leaves out, and
# with a Python that fits. Only what venv itself has made is cleared.
make_venv = @$(1)/bin/python -c 'import pip; $(CHECK_PYTHON)' 2>/dev/null || { \
  $(PYTHON) -c '$(CHECK_PYTHON)' && \
  $(PYTHON) -m venv $(if $(wildcard $(1)/pyvenv.cfg),--clear) $(1); }

$(VENV)/.train: requirements.txt requirements_inference.txt constraints.txt
	$(call make_venv,$(VENV))
	@echo "Installing requirements.txt into $(VENV): some minutes, 2.2 GB; more with CUDA (docs/00)"
	$(BIN)/python -m pip install -q -r requirements.txt
	touch $@

$(VENV)/.dev: $(VENV)/.train requirements_dev.txt
	@echo "Installing requirements_dev.txt into $(VENV)"
	$(BIN)/python -m pip install -q -r requirements_dev.txt
	touch $@

.venv-tools/.installed: infra/requirements_tools.txt infra/requirements_sam.txt
	@echo "Installing linters and local servers into .venv-tools, AWS SAM into .venv-sam"
	$(call make_venv,.venv-tools)
	$(TOOLS)/pip install -q -r infra/requirements_tools.txt
	$(call make_venv,.venv-sam)
	.venv-sam/bin/pip install -q -r infra/requirements_sam.txt
	touch $@

.venv-ray/.installed: requirements_ray.txt constraints.txt
	@echo "Installing Ray into .venv-ray"
	$(call make_venv,.venv-ray)
	.venv-ray/bin/pip install -q -r requirements_ray.txt
	touch $@

# --- the stages -----------------------------------------------------------------------------------
train: $(VENV)/.train  ## install, train on the first corpus found, export, predict one sentence
	$(BIN)/python train.py $(ARGS)
	$(BIN)/python convert_model_to_onnx.py $(EXPORT_ARGS)
	$(BIN)/python inference_onnx.py -- "$$TEXT"

export: $(VENV)/.train  ## models/best-checkpoint.ckpt -> models/model.onnx
	$(BIN)/python convert_model_to_onnx.py $(ARGS)

predict: $(VENV)/.train  ## make predict TEXT="..."
	@$(BIN)/python inference_onnx.py -- "$$TEXT"

serve: $(VENV)/.train  ## the API without Docker, on http://127.0.0.1:8000
	$(BIN)/python app.py

# Containers read monitoring/ as another user, whatever umask the clone was made with.
up: env  ## API, Elasticsearch, Kibana in Docker
	-chmod -R a+rX monitoring
	docker compose up --build --detach --wait

down:  ## stop them; their data stays
	docker compose down

# The passwords of Kibana's user `elastic`, of Kibana itself and of Filebeat's user, and the keys that
# encrypt Kibana's sessions, rules and reports: 32 characters each, which is the least that Kibana takes
# for a key. Nothing but docker-compose.yml reads them; the profile makes it start all of its services.
ENV_FILE ?= .env
SECRETS := ELASTIC_PASSWORD KIBANA_SYSTEM_PASSWORD WRITER_PASSWORD \
  KIBANA_SECURITY_KEY KIBANA_OBJECTS_KEY KIBANA_REPORTING_KEY

env:  ## passwords for `make up`, into .env; what it has already stays
	@umask 077 && touch $(ENV_FILE) && chmod 600 $(ENV_FILE)
	@test -z "$$(tail -c 1 $(ENV_FILE))" || echo >> $(ENV_FILE)
	@for name in $(SECRETS); do \
	  grep -q "^ *$$name *= *[^ ]" $(ENV_FILE) && continue; \
	  value=$$(openssl rand -hex 16) || exit 1; \
	  echo "$$name=$$value" >> $(ENV_FILE); \
	  echo "$(ENV_FILE): added $$name"; \
	done
	@grep -q "^ *COMPOSE_PROFILES *=" $(ENV_FILE) || echo "COMPOSE_PROFILES=monitoring" >> $(ENV_FILE)
	@echo "$(ENV_FILE): complete"

# --- watch ----------------------------------------------------------------------------------------
# A variable as compose has it: from the environment, or from its last line in .env, maybe in quotes.
# No shell reads that file: it is in compose's format.
of_compose = $${$(1):-$$(sed -n "s/^ *$(1) *= *\(['\"]\{0,1\}\)\(.*\)\1 *$$/\2/p" \
  $(ENV_FILE) | tail -n 1)}

SIMULATE = API_KEY=$(call of_compose,API_KEY) $(BIN)/python -m drift.simulate

# By then Filebeat has shipped the last lines and Elasticsearch finds them.
SHIPPING_SECONDS := 15

# The drift check ends with an alarm: two windows of 45 seconds in a row have drifted.
demo: $(VENV)/.train up  ## normal traffic, then drifted traffic, the verdict, a link to the dashboard
	@echo "30 seconds of normal traffic, 90 of drifted traffic"
	@$(SIMULATE) --kind normal --seconds 30 --corpus $(CORPUS)
	@$(SIMULATE) --kind shuffled --seconds 90 --corpus $(CORPUS)
	@sleep $(SHIPPING_SECONDS)
	-@$(MAKE) --no-print-directory drift ARGS="--window 45s"
	@echo "dashboard: http://127.0.0.1:5601/app/dashboards#/view/cola"

provision: $(VENV)/.train  ## templates, dashboard and rules for ELASTICSEARCH_URL and KIBANA_URL
	$(BIN)/python -m monitoring.provision --model models/model.onnx $(ARGS)

# Compose's server and password, whatever the environment says of another server.
drift: $(VENV)/.train  ## compare the traffic with the data that the model was validated on
	@ELASTICSEARCH_URL=http://127.0.0.1:9200 ELASTICSEARCH_API_KEY= ELASTICSEARCH_SECRET_ARN= \
	  ELASTICSEARCH_USERNAME=elastic ELASTICSEARCH_PASSWORD=$(call of_compose,ELASTIC_PASSWORD) \
	  $(BIN)/python -m drift $(ARGS)

# --- ship -----------------------------------------------------------------------------------------
model-push model-pull: model-%: $(VENV)/.train  ## copy the model to or from the store (REMOTE=local: a folder)
	REMOTE=$(REMOTE) $(BIN)/python -m registry $*

model-log model-compare: model-%: $(VENV)/.train  ## list the versions; compare the new model with the current one
	@$(BIN)/python -m registry $*

model-promote: $(VENV)/.train  ## make the pipeline's candidate models/model.onnx and push it, unless worse
	REMOTE=$(REMOTE) $(BIN)/python -m registry promote

# Lambda refuses an image index, which BuildKit makes to attach attestations.
images: export BUILDX_NO_DEFAULT_ATTESTATIONS = 1
images:  ## build the two Docker images, cola:api and cola:lambda
	docker build --target api -t $(IMAGE):api .
	docker build --target lambda -t $(IMAGE):lambda .

deploy: $(VENV)/.train images  ## build the images, create or update the stack, release
	$(BIN)/python -m infra.deploy up --image $(IMAGE):lambda $(PARAMETERS)

destroy: $(VENV)/.train  ## delete the stack; the model store stays
	$(BIN)/python -m infra.deploy down

invoke: $(VENV)/.train  ## one prediction through API Gateway: make invoke TEXT="..."
	@$(BIN)/python -m infra.deploy invoke -- "$$TEXT"

rollback: $(VENV)/.train  ## let the image before answer again
	$(BIN)/python -m infra.deploy rollback

# --- check ----------------------------------------------------------------------------------------
test: $(VENV)/.dev  ## install what the tests need, run the fast ones
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

test-slow: $(VENV)/.dev tools  ## the tests that take minutes
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile -m "slow and not container"

test-containers: $(VENV)/.dev tools  ## the tests that need a Docker engine and the images
	$(BIN)/python -m pytest -m container

tools: .venv-tools/.installed .venv-ray/.installed  ## linters, local servers, Ray, in environments of their own

check: $(VENV)/.dev tools secrets  ## style, types, linters
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(TOOLS)/cfn-lint infra/template.yaml
	SAM_CLI_TELEMETRY=0 AWS_DEFAULT_REGION=us-east-1 .venv-sam/bin/sam validate --lint -t infra/template.yaml
	$(TOOLS)/actionlint .github/workflows/*.yaml
	$(TOOLS)/zizmor --offline --quiet .github
	$(TOOLS)/hadolint Dockerfile
	$(TOOLS)/yamllint --strict .
	$(TOOLS)/shellcheck .ci/run .github/*.sh
	$(BIN)/python -m benchmarks.fill_readme --check

format: $(VENV)/.dev  ## let ruff fix and format what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

readme: $(VENV)/.train  ## fill the documents' tables and samples from benchmarks/results/
	$(BIN)/python -m benchmarks.fill_readme

# Every package of an image, and of the workflows' jobs with a token for AWS, with the hashes of its
# files; pip installs nothing else. lock_build.txt builds those that have no wheel.
LOCK := $(TOOLS)/uv pip compile -q --python-version 3.11 --python-platform linux --generate-hashes \
  --no-annotate --custom-compile-command "make lock"

lock: tools  ## resolve all versions again; write constraints.txt and infra/lock_*.txt
	{ echo "# Every package, also the indirect ones, at the version that was tested. Written by \`make lock\`."; \
	  grep -hvE '^(-c|-r|#)' requirements*.txt | $(TOOLS)/uv pip compile - --python-version 3.11 --no-header --no-annotate -q; \
	} > constraints.new
	mv constraints.new constraints.txt
	$(LOCK) requirements_inference.txt --excludes infra/lock_excludes.txt -o infra/lock_inference.txt
	echo awslambdaric | $(LOCK) - -c constraints.txt -o infra/lock_lambda.txt
	$(LOCK) requirements_inference.txt infra/requirements_release.txt -o infra/lock_release.txt
	echo setuptools | $(LOCK) - -c constraints.txt -o infra/lock_build.txt

digests: $(VENV)/.train  ## pin the base image and those of docker-compose.yml by digest, or refresh the digests
	$(BIN)/python -m infra.digests

# --- supply chain ---------------------------------------------------------------------------------
# What guesses by entropy takes commits and digests for keys; what guesses by name, the tests' passwords.
SCAN := $(TOOLS)/detect-secrets-hook --no-verify --disable-plugin HexHighEntropyString \
  --disable-plugin Base64HighEntropyString

# By way of a file: a pipe would hide that git failed, and no file at all has no credentials.
secrets: tools  ## look for credentials in what git tracks
	set -e; list=$$(mktemp); trap 'rm -f "$$list"' EXIT; \
	git ls-files -z ':!tests' > "$$list"; \
	xargs -0 -r $(SCAN) --exclude-lines secretsmanager:GetSecretValue < "$$list"; \
	git ls-files -z tests > "$$list"; \
	xargs -0 -r $(SCAN) --disable-plugin KeywordDetector < "$$list"

# --strict: a package that could not be looked up is not one without vulnerabilities.
audit: tools  ## known vulnerabilities of the packages in the images (asks PyPI)
	$(TOOLS)/pip-audit --strict --disable-pip --require-hashes -r infra/lock_inference.txt -r infra/lock_lambda.txt

sbom: tools  ## the packages in the images and their hashes, in CycloneDX: artifacts/sbom.json
	mkdir -p artifacts
	cat infra/lock_inference.txt infra/lock_lambda.txt | $(TOOLS)/cyclonedx-py requirements - \
	  --output-reproducible --output-file artifacts/sbom.json

clean:  ## remove the environments, caches and runs
	rm -rf $(VENV) .venv-tools .venv-sam .venv-ray runs wandb .pytest_cache .mypy_cache .ruff_cache
