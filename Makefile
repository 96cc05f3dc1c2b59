# make demo | test | check | bench | install.  Everything lands in .venv and .demo; nothing else is touched.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: install dev demo test fuzz check bench bench-peers wheel constraints node clean
.DEFAULT_GOAL := demo

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Touchline needs Python 3.11 or later; set PYTHON=…" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	@touch $@

$(VENV)/.installed: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[server]'
	@touch $@

$(VENV)/.developing: $(VENV)/.made pyproject.toml constraints.txt
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@# Its metadata demands a cryptography of years ago; it works with today's, and only tests use it.
	$(BIN)/python -m pip install --quiet --no-deps sns-message-validator==0.0.1
	@touch $@ $(VENV)/.installed

install: $(VENV)/.installed  ## the environment and the command, in .venv

dev: $(VENV)/.developing

demo: install  ## a hub with simulated games, and commands to paste
	@$(BIN)/touchline demo --data .demo

# By two processes, a file of tests at a time: most of them wait for something.
WORKERS ?= 2

test: dev node  ## every test
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

# The fuzzing of `make test` so many times over and at random (FUZZ=50), then guided by coverage for so many seconds.
FUZZ ?= 50
FUZZ_SECONDS ?= 300

fuzz: dev  ## the parsers and codecs at length, as FUZZ and FUZZ_SECONDS say
	TOUCHLINE_FUZZ=$(FUZZ) $(BIN)/pytest tests/fuzz --timeout=0
	@if $(BIN)/python -m pip install --quiet atheris==3.0.0; then \
		$(BIN)/python tests/fuzz/atheris_formats.py -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -artifact_prefix=$(VENV)/fuzz-; \
	else echo "atheris does not install here: what is guided by coverage was not run"; fi

check: dev  ## what CI checks beside the tests
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: dev  ## the figures, as ratios against bare baselines in the same run; NAME=fanout for one
	$(BIN)/python -m bench $(NAME)

bench-peers: dev  ## the same load on other servers, installed into a temporary directory
	$(BIN)/python -m bench peers

soak: dev  ## a hub under mixed load, killed again and again, and everything accounted for: make soak MINUTES=30
	$(BIN)/python -m bench.soak --minutes $(or $(MINUTES),30) $(if $(SEED),--seed $(SEED))

stress: dev  ## sessions at their worst, and what they leave behind: make stress SESSIONS=5000
	$(BIN)/python -m bench.stress --sessions $(or $(SESSIONS),5000) $(if $(SEED),--seed $(SEED))

# Independent JavaScript clients for the tests; tests that need them say so when npm is absent.
node: tests/node/node_modules/.made

tests/node/node_modules/.made: tests/node/package.json
	@if command -v npm >/dev/null; then cd tests/node && npm install --silent --no-audit --no-fund --no-package-lock && touch node_modules/.made; \
	else echo "npm is not here: tests with JavaScript clients will be skipped"; fi

wheel: dev
	$(BIN)/python -m build --wheel --outdir dist

# Versions only, no index addresses.
constraints: dev
	$(BIN)/python -m pip freeze --exclude-editable --exclude pip --exclude setuptools | sort > constraints.txt

clean:
	rm -rf $(VENV) .demo build dist tests/node/node_modules
