# Two commands do everything on a fresh machine with Python 3.11 or newer, git and make:
#   make demo    install, then watch a real MCP client talk to the server
#   make test    install, then run lint, types and tests
# and one more builds what no index has ready:
#   make test-engines    build llama.cpp's server (about five minutes, once), then run the tests that need it

PYTHON ?= $(shell command -v python3.11 || command -v python3.12 || command -v python3.13 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
LLAMA_SERVER := .cache/engines/llama-server

.PHONY: demo test test-engines cover check format bench lock clean

demo: $(READY)
	@$(BIN)/python -m examples.demo

# Two processes, because most tests wait for servers that they have started; each takes a run of neighbours, so that
# what a file's tests share is made once.
test: check
	$(BIN)/python -m pytest -n 2 --dist worksteal

test-engines: $(READY) $(LLAMA_SERVER)
	$(BIN)/python -m pytest -m engines

$(LLAMA_SERVER): tests/process_engines/build_llama_server.sh | $(READY)
	tests/process_engines/build_llama_server.sh $(BIN)/python $(@D)
	@touch $@

cover: $(READY)
	$(BIN)/coverage run -m pytest
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

check: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright --pythonpath $(BIN)/python

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
