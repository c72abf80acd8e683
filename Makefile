# ARGS goes to the command behind a target, PYTHON picks the interpreter of .venv. MINUTES and BROKER are for soak.
ARGS =
PYTHON = python3
MINUTES = 60
BROKER = memory
BIN = .venv/bin
PIP = $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: help demo test lint types bench soak fuzz docs clean

help: ## list these commands (the default)
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-6s %s\n", $$1, $$2 }' Makefile

demo: .venv/.demo ## try it in a browser; needs Python 3.11+ and nothing else
	@$(BIN)/python -m asgi_push demo $(ARGS)

test: .venv/.test ## run every test, setting up what they need, as root with apt-get; ARGS="-k name" goes to pytest
	@bash tests/setup.sh
	@$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder $(ARGS)

lint: .venv/.test ## check style and formatting
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .

types: .venv/.test ## check types
	@$(BIN)/mypy asgi_push $(wildcard tests/typing)

bench: .venv/.bench ## measure fan-out, beside other libraries
	@$(BIN)/python -m tests.benchmarks $(ARGS)

soak: .venv/.test ## cut clients off for an hour, and see that nothing is lost and nothing grows; MINUTES=10 BROKER=redis
	@$(BIN)/python -m tests.soak --minutes $(MINUTES) --broker $(BROKER) $(ARGS)

fuzz: .venv/.test ## give each parser a million odd inputs
	@$(BIN)/python -m tests.fuzz $(ARGS)

docs: .venv/.docs ## build the documentation's site into build/docs
	@$(BIN)/python docs/site/build.py

clean: ## remove everything that these commands made
	rm -rf .venv build dist examples/vue/dist examples/*/node_modules tests/benchmarks/peers/node/node_modules tests/endpoints/centrifuge/node_modules tests/asyncapi/node_modules tests/docs/browser/node_modules .hypothesis .mypy_cache .pytest_cache .ruff_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# A stamp is as new as the pyproject.toml it was installed from.
.venv/.demo: EXTRAS = demo
.venv/.test: EXTRAS = demo,jwt,local,metrics,protobuf,redis
.venv/.test: GROUPS = --group test --group lint
.venv/.bench: EXTRAS = demo,jwt,local,metrics,postgres,protobuf,redis
.venv/.bench: GROUPS = --group bench
.venv/.docs: GROUPS = --group docs

.venv/.demo .venv/.test .venv/.bench .venv/.docs: pyproject.toml | .venv/bin/python
	@echo "Installing into .venv, and nowhere else: this package with what its extras need ($(EXTRAS))$(GROUPS:--group=,)"
	@$(PIP) --upgrade pip
	@$(PIP) --editable '.$(EXTRAS:%=[%])' $(GROUPS)
	@touch $@

# ensurepip is what Debian leaves out of python3.
.venv/bin/python:
	@for python in $(PYTHON) python3.14 python3.13 python3.12 python3.11; do \
		if $$python -c 'import ensurepip, sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
			exec $$python -m venv .venv; \
		fi; \
	done; \
	echo "Python 3.11 or newer with venv is needed (apt-get install python3-venv, brew install python); make PYTHON=... picks one." >&2; \
	exit 1
