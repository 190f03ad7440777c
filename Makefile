PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: help install up demo servers quick test check soak bench contracts lock clean

help: ## list these targets
	@sed -n 's/^\([a-z.]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | expand -t 12

install: $(STAMP) ## install beatledger and its tools into .venv

up: $(STAMP) ## start everything on this machine, on http://127.0.0.1:8000
	$(BIN)/beatledger up

demo: $(STAMP) ## run the main use case on data of its own, and check the results
	$(BIN)/beatledger demo

servers: $(STAMP) ## start the distributed profile's servers on loopback; FOLDER=… keeps their data
	@$(BIN)/python -m tests.servers $(FOLDER)

# The contract tests over Kafka and MongoDB start Java: `make test` runs them.
quick: $(STAMP) ## run the unit tests and the contract tests that need no Java, in under a minute
	$(BIN)/python -m pytest -n 3 tests/unit tests/contract -k "not [kafka and not [mongo"

test: $(STAMP) ## run all tests but the soak
	$(BIN)/python -m pytest -n 3 -m "not soak"

soak: $(STAMP) ## run the long fault rounds
	$(BIN)/python -m pytest -m soak --timeout 3600

check: $(STAMP) ## check format, lint, import rules and types
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright --level error

bench: $(STAMP) ## print benchmark ratios
	$(BIN)/python -m bench

contracts: $(STAMP) ## write the published contracts into docs/
	$(BIN)/python -m app.contracts docs

# Versions and hashes only, because an address would tie the file to one registry. The image installs the second file.
# The third one has the client generators of the tests, which would clash with the product's own dependencies.
COMPILE := uv pip compile --quiet --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --no-header
lock: ## pin the dependencies (needs uv)
	$(COMPILE) pyproject.toml --group dev -o requirements.lock
	$(COMPILE) pyproject.toml --group build --constraint requirements.lock -o requirements.image.lock
	$(COMPILE) tests/clients/requirements.in -o tests/clients/requirements.lock

.env: ## write random passwords for docker compose, once
	umask 077; $(PYTHON) -c 'import re, secrets, sys; \
		print(re.sub("=$$", lambda _: "=" + secrets.token_hex(32), sys.stdin.read(), flags=re.M), end="")' \
		< .env.example > .env.new
	mv .env.new .env

# The stamp is written last, so that an interrupted install is repeated.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("beatledger needs Python 3.11 or newer")'
	@echo "installing into $(VENV): about a minute, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean: ## remove .venv, the data folder and build files
	rm -rf $(VENV) .beatledger build *.egg-info
