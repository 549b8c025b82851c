# Everything TwinStar needs from a machine with Python 3.11+, make and git. Each target does its own set-up, once.

.DEFAULT_GOAL := help
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c

VENV   := .venv
BIN    := $(VENV)/bin
PY     := $(BIN)/python
STAMPS := $(VENV)/.stamps
WARM   := $(PY) -m twinstar_kit.session.warm

# compiled code and bytecode are kept: without them every start pays for them again
unexport PYTHONDONTWRITEBYTECODE
export PIP_DISABLE_PIP_VERSION_CHECK := 1

BUNDLE_SOURCES := $(shell find twinstar_kit/terminal -type f -not -path '*/node_modules/*' -not -path '*/dist/*' \
	\( -name '*.ts' -o -name '*.js' -o -name '*.mjs' -o -name '*.css' -o -name '*.json' -o -name build.py \) 2>/dev/null)
COMPILED_SOURCES := $(wildcard twinstar_kit/*.py twinstar_kit/kernel/*.py twinstar_kit/strategy/*.py \
	twinstar_kit/strategy/*/*.py twinstar_kit/session/*.py \
	twinstar_kit/lake/*.py)

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: setup
setup: $(STAMPS)/warm ## the shared part alone: .venv from the lock, the bundle, compiled strategies

.PHONY: terminal
terminal: setup ## serve the terminal and open it in a browser (ARGS="--port 5007" adds options)
	@$(BIN)/twinstar terminal $(ARGS)

.PHONY: lab
lab: setup ## JupyterLab on notebooks/
	@$(BIN)/twinstar lab $(ARGS)

.PHONY: test
test: setup ## all tests, the notebooks among them, and the coverage floors
	@$(PY) .ci/tests.py $(ARGS)

.PHONY: check
check: $(STAMPS)/project ## ruff, mypy (strict, the whole package), import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

.PHONY: format
format: $(STAMPS)/project ## let ruff put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.PHONY: bench
bench: setup ## speed and memory as ratios against named peers in the same run
	@$(PY) -m benchmarks $(ARGS)

.PHONY: docs
docs: $(STAMPS)/project ## write docs/cli.md and docs/settings.md anew from the code
	@$(PY) -m twinstar_kit.cli.reference docs

.PHONY: lock
lock: $(STAMPS)/venv ## resolve requirements.lock anew for Python 3.11 to 3.13
	@$(PY) -m pip install -qq uv
	@printf '%s\n' '# Every version, for Python 3.11 to 3.13 on any platform. Written by `make lock`.' > requirements.lock.new
	@$(BIN)/uv pip compile pyproject.toml --extra dev --extra bench --universal --python-version 3.11 --upgrade --quiet \
		--no-emit-index-url --no-emit-find-links --no-header --no-annotate >> requirements.lock.new
	@mv requirements.lock.new requirements.lock

.PHONY: clean
clean: ## remove .venv, bundles and caches; your accounts and data stay
	rm -rf $(VENV) build dist htmlcov .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
	rm -rf .import_linter_cache twinstar_kit/terminal/dist twinstar_kit/terminal/web/node_modules
	find twinstar_kit tests benchmarks -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

# --- set-up, step by step; a stamp is newer than what its step was made from ---

$(STAMPS)/venv:
	@python=$$(bash .ci/find-python) && echo "TwinStar: making $(VENV) with $$($$python --version)" && \
		$$python -m venv $(VENV)
	@mkdir -p $(STAMPS) && touch $@

$(STAMPS)/parts: requirements.lock | $(STAMPS)/venv
	@echo "TwinStar: installing what requirements.lock names (once, a few minutes)"
	@$(PY) -m pip install -qq --requirement requirements.lock
	@touch $@

$(STAMPS)/project: pyproject.toml hatch_build.py $(BUNDLE_SOURCES) $(STAMPS)/parts
	@echo "TwinStar: installing the project and building the terminal's bundle"
	@$(PY) -m pip install -qq --no-deps --no-build-isolation --editable .
	@touch $@

$(STAMPS)/warm: $(COMPILED_SOURCES) $(STAMPS)/project
	@echo "TwinStar: compiling the kernel and the starter strategies (once, about a minute)"
	@$(WARM)
	@touch $@
