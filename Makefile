# `make run` and `make test` install what they need; `make help` lists the other targets.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COSMOS := tests/cosmos_server
BROWSER := tests/browser
FRONT_ENDS := tests/front_ends
CLIENT := clients/typescript
PYTHON_CLIENT := clients/python
REACT := examples/react
GENERATED := tests/generated
PEERS := bench/peers
SEEDS ?= 5000
# The client and its command `turnlog`, from this folder: what it needs is in the requirements files already.
INSTALL_CLIENT = $(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -e $(PYTHON_CLIENT)
COMPILE = $(BIN)/uv pip compile -q --universal --generate-hashes --no-header --no-emit-index-url --no-emit-find-links

.DEFAULT_GOAL := help
# Each run of the tests uses what the one before compiled, and so do the processes that tests start.
test test-slow test-cosmos: export PYTHONDONTWRITEBYTECODE :=
.PHONY: help install run test test-slow test-cosmos clients console front-ends examples screenshots package release chaos worker memory generated check backup restore bench bench-peers cost docs lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

install: $(VENV)/.dev $(COSMOS)/node_modules/.installed ## set up everything that development needs

run: $(VENV)/.run ## serve the app on 127.0.0.1:7071 (PORT, HOST, HOST_MODE=func|local, VERBOSE=1)
	@exec $(BIN)/python -m turnlog.local.run $(if $(VERBOSE),--verbose)

test: install ## run the tests: everything that needs no cloud
	$(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile --no-loadscope-reorder

test-slow: install ## run the tests that take minutes: hundreds of kills, a thousand reconnections
	$(BIN)/python -m pytest -m slow -n 2 --dist loadfile --no-loadscope-reorder

test-cosmos: install ## run the HTTP tests on the Cosmos DB store, against a server that speaks its protocol
	TURNLOG_TEST_STORE=cosmos $(BIN)/python -m pytest -m "not slow" -n auto --dist loadfile --no-loadscope-reorder tests/http tests/e2e tests/model_servers

clients: $(VENV)/.dev $(CLIENT)/node_modules/.installed ## test the TypeScript and the Python client against real servers
	cd $(CLIENT) && npm test --silent
	$(BIN)/python -m pytest $(PYTHON_CLIENT)/tests

console: $(VENV)/.run $(BROWSER)/node_modules/.installed $(CLIENT)/node_modules/.installed ## check the types of the console, and test it in Chromium (CHROMIUM, else a package brings one)
	cd $(CLIENT) && npm run --silent check-console
	cd $(BROWSER) && npm test --silent

front-ends: $(VENV)/.run $(FRONT_ENDS)/node_modules/.installed ## test the front-end protocols with the libraries that pages use
	cd $(FRONT_ENDS) && npm test --silent

examples: $(VENV)/.run $(BROWSER)/node_modules/.installed $(CLIENT)/node_modules/.installed $(REACT)/node_modules/.installed ## test the example pages in Chromium
	cd $(CLIENT) && npx tsc --project tsconfig.build.json --outDir ../../examples/sign-in/client
	cd $(BROWSER) && npm run --silent examples

screenshots: $(VENV)/.run $(BROWSER)/node_modules/.installed ## write the pictures of the console in docs/images
	cd $(BROWSER) && npm run --silent screenshots

package: $(VENV)/.dev $(CLIENT)/node_modules/.installed ## build what is published into dist/: the wheel of turnlog, and the packages of the clients
	mkdir -p dist
	$(BIN)/python -m hatchling build -t wheel -d dist
	cd $(CLIENT) && npm pack --silent --pack-destination ../../dist
	$(BIN)/uv build --quiet --out-dir dist $(PYTHON_CLIENT)

release: $(VENV)/.dev ## write VERSION everywhere, date the changelog, commit and tag
	$(BIN)/python -m tools.release $(VERSION)

chaos: install ## look for losses under faults: simulate thousands of schedules (SEEDS), then kill real processes
	$(BIN)/python -m tests.simulation --seeds $(SEEDS) --kill-kit

worker: $(VENV)/.dev ## test the app on the library of Azure's own worker (needs Python 3.13)
	$(BIN)/python tests/worker/environment.py
	.venv-worker/bin/python -m pytest --confcutdir tests/worker tests/worker

memory: $(VENV)/.dev ## test sessions as the memory of openai-agents
	$(BIN)/python tests/agents_sdk/environment.py
	.venv-agents/bin/python -m pytest --confcutdir tests/agents_sdk tests/agents_sdk

generated: $(VENV)/.run $(GENERATED)/node_modules/.installed ## test clients that are generated from the description
	$(BIN)/python tests/generated/environment.py
	.venv-generated/bin/python -m pytest --confcutdir tests/generated tests/generated

check: $(VENV)/.dev ## format, lint, types, layers, generated docs, words
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/pyright
	$(BIN)/lint-imports
	$(BIN)/python -m tools.docs --check
	$(BIN)/python -m tools.words

backup: $(VENV)/.run ## copy the sessions in SQLite to a file, while the app runs (TO=file)
	@$(BIN)/python -m turnlog.local.backups backup $(TO)

restore: $(VENV)/.run ## replace the sessions by a copy, while the app is stopped (FROM=file)
	@$(BIN)/python -m turnlog.local.backups restore $(FROM)

bench: $(VENV)/.dev ## measure the figures of docs/run/performance.md
	$(BIN)/python -m bench

bench-peers: $(VENV)/.dev ## run the same turns on Turnlog, Agno and Restate, which it installs into bench/peers
	$(BIN)/python -m bench.peers

cost: install ## count and price a turn's requests to Cosmos DB: the figures of docs/run/cost.md
	$(BIN)/python -m bench.cost

docs: $(VENV)/.dev ## write the generated docs
	$(BIN)/python -m tools.docs

lock: $(VENV)/.dev ## resolve the requirements files from pyproject.toml, with hashes
	$(COMPILE) --python-version 3.11 pyproject.toml -o requirements.txt
	$(COMPILE) --python-version 3.11 pyproject.toml --extra local -o requirements-local.txt
	$(COMPILE) --python-version 3.11 pyproject.toml --extra local --extra dev -o requirements-dev.txt
	$(COMPILE) --python-version 3.13 pyproject.toml --extra worker -c requirements.txt -o requirements-worker.txt
	$(COMPILE) --python-version 3.11 pyproject.toml --extra local --extra agents -c requirements.txt -o requirements-agents.txt
	$(COMPILE) --python-version 3.11 pyproject.toml --extra local --extra generated -c requirements.txt -o requirements-generated.txt
	$(COMPILE) --python-version 3.11 $(PEERS)/requirements.in -o $(PEERS)/requirements.txt

clean: ## remove what the targets created, and the local data
	find .data -mindepth 1 -not -name .gitignore -delete
	rm -rf $(VENV) .venv-worker .venv-agents .venv-generated $(PEERS)/.venv $(PEERS)/node_modules $(COSMOS)/node_modules $(CLIENT)/node_modules $(BROWSER)/node_modules $(GENERATED)/node_modules $(GENERATED)/build $(FRONT_ENDS)/node_modules $(FRONT_ENDS)/build $(CLIENT)/build $(REACT)/node_modules $(REACT)/dist examples/sign-in/client dist .pytest_cache .ruff_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Python 3.11 or newer is needed: make PYTHON=/path/to/python3 …"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.run: requirements-local.txt $(PYTHON_CLIENT)/pyproject.toml | $(VENV)/bin/python
	@echo "installing the $$(grep -c '==' requirements-local.txt) packages of requirements-local.txt into $(VENV): this takes about a minute, once"
	@began=$$(date +%s); $(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-local.txt \
		&& $(INSTALL_CLIENT) && echo "installed in $$(($$(date +%s) - began)) s"
	@touch $@

$(VENV)/.dev: requirements-dev.txt $(PYTHON_CLIENT)/pyproject.toml | $(VENV)/bin/python
	$(BIN)/python -m pip install -q --disable-pip-version-check -r requirements-dev.txt
	$(INSTALL_CLIENT)
	@touch $@ $(VENV)/.run

%/node_modules/.installed: %/package-lock.json
	cd $* && npm ci --silent --no-audit --no-fund
	@touch $@
