# Two commands do everything on a fresh machine with Python 3.11 or newer, git and make:
#   make demo    install, then watch a real MCP client talk to the server
#   make test    install, then run lint, types and tests
# Others take more time, or fetch something:
#   make quick           lint, types and the tests that take under three minutes
#   make test-slow       the tests that take five seconds each, most of it to start servers (a few minutes)
#   make test-all        both, with every case of every sweep
#   make test-engines    build llama.cpp's server (about five minutes, once), then run the tests that need it
#   make test-clients    install other people's clients (1.2 GB, once), then let them talk to the server
#   make test-faults     do to the program what a bad day does, once each (a few minutes)
#   make reliability     the same as often as is wanted, then a soak, and write docs/reliability.md of both (two hours)
#   make soak            an hour of mixed calls, or as long as MINUTES says; SEED draws the same ones again
#   make plugin          write anew what plugin/ repeats of other files: the slash commands and the list of tools
#   make docs            build the site of docs/ into site/, strictly
#   make mcpb            make the bundle for Claude Desktop
#   make wheel           build what is published, and install and try it with every Python that is here
#   make audit           ask whether a locked package has a known vulnerability
#   make test-real       fetch a real model (93 MB, once), then run the tests that need it

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PYRIGHT := $(BIN)/pyright --pythonpath $(BIN)/python
QUICK := tests --ignore=tests/behaviour --ignore=tests/engines/mlx --ignore=tests/engines/servers \
	--ignore=tests/doors/http --ignore=tests/process --ignore=tests/residency --ignore=tests/sharing --ignore=tests/training

.PHONY: demo quick test test-slow test-all test-faults reliability soak test-clients test-engines test-real clients llama-server plugin docs mcpb wheel audit real-model cover check lint format bench lock clean

demo: $(READY)
	@$(BIN)/python -m examples.demo

# Three processes, because most tests wait for servers that they have started; each takes a run of neighbours, so that
# what a file's tests share is made once. Types are checked beside them: pyright needs one core for over a minute.
test: lint
	@$(PYRIGHT) >$(VENV)/types.txt & types=$$!; $(BIN)/python -m pytest -n 3 --dist worksteal; tests=$$?; \
	wait $$types; types=$$?; cat $(VENV)/types.txt; exit $$((tests || types))

quick: check
	$(BIN)/python -m pytest -n 2 --dist worksteal $(QUICK)

test-slow: $(READY)
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "slow and not (clients or engines or real or sweep or fault)"

test-all: check
	$(BIN)/python -m pytest -n 2 --dist worksteal -m "not (clients or engines or real or fault)" --hypothesis-profile=sweep

test-faults: $(READY)
	$(BIN)/python -m pytest -n 3 --dist worksteal -m "fault and not (clients or engines or real)"

reliability: $(READY) llama-server real-model
	rm -rf .cache/reliability
	$(BIN)/python -m pytest -n 3 --dist worksteal -m fault --prove=.cache/reliability tests
	$(BIN)/python -m tests.reliability.soak --minutes $(or $(MINUTES),60)
	$(BIN)/python -m tests.reliability.page .cache/reliability

# With the real model where `make real-model` has made it, else with the built-in one alone.
soak: $(READY)
	$(BIN)/python -m tests.reliability.soak --minutes $(or $(MINUTES),60) $(if $(SEED),--seed $(SEED))

test-clients: $(READY) clients real-model
	$(BIN)/python -m pytest -m clients tests/client_programs

test-engines: $(READY) llama-server
	$(BIN)/python -m pytest -m "engines and not real"

test-real: $(READY) llama-server real-model
	$(BIN)/python -m pytest -m real --durations=10

# These keep what an earlier run made, and see for themselves whether it is still what they would make.
llama-server: $(READY)
	tests/engines/servers/build_llama_server.sh $(BIN)/python .cache/engines

clients: $(READY)
	tests/client_programs/install.sh $(BIN)/python .cache/clients

plugin: $(READY)
	$(BIN)/python -m tests.plugin_files

docs: $(READY)
	release/docs.sh $(BIN)/python .cache/docs

mcpb: $(READY)
	$(BIN)/python -m release

wheel: $(READY)
	$(BIN)/python -m release.wheel

audit: $(READY)
	$(BIN)/python -m release.audit

real-model: $(READY)
	$(BIN)/python -m training.real_model

cover: $(READY)
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: lint
	$(PYRIGHT)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)
	$(BIN)/python -m benchmarks

# The lock holds exact versions and hashes for macOS (arm64) and Linux; everything above installs from it alone.
$(READY): requirements.lock pyproject.toml
	$(PYTHON) -m venv --clear $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $(READY)

lock:
	uv pip compile --universal --python-version 3.11 --generate-hashes --group dev --no-annotate --quiet \
		--custom-compile-command "make lock" pyproject.toml -o requirements.lock

clean:
	rm -rf $(VENV) .pytest_cache .ruff_cache .hypothesis .coverage*
