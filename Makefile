PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

.PHONY: up demo servers test check soak bench contracts lock clean

up: $(STAMP)
	$(BIN)/beatledger up

demo: $(STAMP)
	$(BIN)/beatledger demo

# Postgres, Kafka, MongoDB's stand-in and S3 for the distributed profile by hand; FOLDER=… keeps their data.
servers: $(STAMP)
	@$(BIN)/python -m tests.servers $(FOLDER)

test: $(STAMP)
	$(BIN)/python -m pytest -n 3 -m "not soak"

soak: $(STAMP)
	$(BIN)/python -m pytest -m soak --timeout 3600

check: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports
	$(BIN)/basedpyright --level error

bench: $(STAMP)
	$(BIN)/python -m bench

contracts: $(STAMP)
	$(BIN)/python -m app.contracts docs

# Versions and hashes only: an address would tie the file to one registry. The image installs the second file.
COMPILE := uv pip compile --quiet pyproject.toml --universal --python-version 3.11 \
	--generate-hashes --no-emit-index-url --no-annotate --no-header
lock:
	$(COMPILE) --group dev -o requirements.lock
	$(COMPILE) --group build --constraint requirements.lock -o requirements.image.lock

# Passwords for docker-compose.yml, made once.
.env:
	umask 077; $(PYTHON) -c 'import re, secrets, sys; \
		print(re.sub("=$$", lambda _: "=" + secrets.token_hex(32), sys.stdin.read(), flags=re.M), end="")' \
		< .env.example > .env.new
	mv .env.new .env

# The stamp moves only after everything is in, so an interrupted install is done again.
$(STAMP): requirements.lock pyproject.toml
	$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("beatledger needs Python 3.11 or newer")'
	@echo "installing into $(VENV): about a minute, once"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.lock
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	touch $@

clean:
	rm -rf $(VENV) .beatledger build *.egg-info
