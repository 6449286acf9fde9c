# Everything runs in .venv, made by the first target that needs it. Needed beforehand: python3 (3.10 or later), make
# and a package index that pip can reach.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
SNOWFLAKE := .venv-snowflake
LAKEHOUSE := .venv-lakehouse
ADAPTERS := .venv-adapters

# The extras that the tests and the benchmarks need, as in `pip install -e '.[dev,bench]'`.
TEST_EXTRAS := dev,airflow-duckdb,airflow-postgres,dbt-postgres,gx-duckdb,spark
BENCH_EXTRAS := $(TEST_EXTRAS),bench

# Without compiled modules every start of a process pays for the compilation again.
unexport PYTHONDONTWRITEBYTECODE

INSTALL := $(BIN)/uv pip install --quiet --python $(BIN)/python --compile-bytecode --constraint constraints.txt

# Installed once per change of what is installed: the stamps are newer than these files.
SPECIFICATION := pyproject.toml constraints.txt

.PHONY: help setup demo test test-fast test-snowflake test-lakehouse test-adapters fuzz soak trust bench lint format \
  constraints sbom audit matrix docs clean
.DEFAULT_GOAL := help

help:
	@echo "make demo            verify a contact table against a mail world on loopback; dbt build and an Airflow DAG over it"
	@echo "make test            the tests, without the slow ones"
	@echo "make test-fast       those that need no server, no Spark, no Airflow and no dbt"
	@echo "make test-snowflake  the tests of every database, on a stand-in for Snowflake, in $(SNOWFLAKE)"
	@echo "make test-lakehouse  the verdict table as Delta Lake and Apache Iceberg, over Spark Connect, in $(LAKEHOUSE)"
	@echo "make test-adapters   what dbt's adapters give their drivers, in $(ADAPTERS)"
	@echo "make fuzz            hostile inputs for all that reads what strangers wrote, 40 minutes (FUZZ_SECONDS=600 each)"
	@echo "make soak            verify without end and see whether anything grows, an hour (SOAK_SECONDS=3600)"
	@echo "make lint            ruff and mypy"
	@echo "make format          let ruff put the code in shape"
	@echo "make bench           the benchmarks; writes their figures and tables"
	@echo "make trust           attacks, faults and hostile servers; writes docs/trust.md, with what fuzz and soak measured last"
	@echo "make setup           only install, into $(VENV)"
	@echo "make constraints     resolve every dependency anew into constraints.txt"
	@echo "make matrix          the wheel on sets of versions of their time; writes docs/support.md (SETS='lowest newest')"
	@echo "make docs            the documentation as a site, with search: site/index.html"
	@echo "make sbom            what is installed, as a CycloneDX bill of materials: dist/mailvet.cdx.json"
	@echo "make audit           known vulnerabilities of those versions; fails where the index has no advisories"
	@echo "make clean           remove $(VENV), $(SNOWFLAKE), $(LAKEHOUSE), $(ADAPTERS) and everything built"

setup: $(VENV)/.installed-dev

demo: $(VENV)/.installed-demo
	$(BIN)/python examples/demo.py
	$(BIN)/python examples/dbt_demo.py demo/out/crm.duckdb
	$(BIN)/python examples/airflow_campaign.py

# More processes than cores: tests wait for servers, time-outs and other processes half of their time.
TEST_PROCESSES ?= 3
PARALLEL := --numprocesses $(TEST_PROCESSES) --dist loadgroup --no-loadscope-reorder

test: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PARALLEL) $(PYTEST_ARGS)

# Folders whose every test starts a server, a JVM, an Airflow, a dbt or the whole command.
NOT_FAST := airflow benchmarks dbt end_to_end gx lakehouse packaging servers spark tutorials

test-fast: $(VENV)/.installed-dev
	$(BIN)/python -m pytest $(PARALLEL) -m "not slow and not external" \
	  $(NOT_FAST:%=--ignore=tests/%) $(PYTEST_ARGS)

test-snowflake: $(SNOWFLAKE)/.installed
	$(SNOWFLAKE)/bin/python -m pytest --numprocesses 2 -k snowflake tests/warehouse/test_contract.py \
	  tests/warehouse/test_contract_store.py tests/warehouse/test_counts.py

test-lakehouse: $(LAKEHOUSE)/.installed
	$(LAKEHOUSE)/bin/python -m pytest tests/lakehouse

test-adapters: $(ADAPTERS)/.installed
	$(ADAPTERS)/bin/python -m pytest tests/adapters

FUZZ_SECONDS ?= 600
SOAK_SECONDS ?= 3600

fuzz: $(VENV)/.installed-fuzz
	$(BIN)/python -m tests.fuzz --seconds $(FUZZ_SECONDS)

soak: $(VENV)/.installed-dev
	$(BIN)/python -m tests.soak --seconds $(SOAK_SECONDS)

# Worlds that lie, and the attacks of tests/attacks, counted in docs/trust.md.
trust: $(VENV)/.installed-dev
	$(BIN)/python -m tests.hostile
	$(BIN)/python -m benchmarks.trust

bench: $(VENV)/.installed-bench
	$(BIN)/python benchmarks/run.py
	$(BIN)/python benchmarks/simulate.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

$(BIN)/uv: $(SPECIFICATION)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10))' || { \
	  echo "mailvet needs Python 3.10 or later; $(PYTHON) is older or missing. Try: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  echo "$(PYTHON) cannot make virtual environments (no ensurepip)." >&2; \
	  echo "On Debian and Ubuntu: apt-get install python3-venv. Or name another Python: make PYTHON=python3.11 ..." >&2; exit 1; }
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt uv
	@touch $@

$(VENV)/.installed-demo: $(BIN)/uv
	$(INSTALL) --editable '.[airflow-duckdb,dbt]'
	@touch $@

# What is installed for the tests serves the demo too.
$(VENV)/.installed-dev: $(BIN)/uv
	$(INSTALL) --group pyproject.toml:integration --editable '.[$(TEST_EXTRAS)]'
	@touch $(VENV)/.installed-demo $@

$(VENV)/.installed-fuzz: $(VENV)/.installed-dev
	$(INSTALL) --group pyproject.toml:fuzz
	@touch $@

$(VENV)/.installed-bench: $(BIN)/uv
	$(INSTALL) --group pyproject.toml:integration --editable '.[$(BENCH_EXTRAS)]'
	@touch $(VENV)/.installed-demo $(VENV)/.installed-dev $@

# An environment beside ours, from a file of pinned versions: $(call beside,folder,file of versions)
define beside
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "These tests need Python 3.11 or later: make PYTHON=python3.11 ..." >&2; exit 1; }
	@test -x $(1)/bin/python || $(BIN)/python -m venv --without-pip $(1)
	$(BIN)/uv pip install --quiet --python $(1)/bin/python --compile-bytecode --requirements $(2) --no-deps --editable .
	@touch $@
endef

$(SNOWFLAKE)/.installed: $(BIN)/uv tests/warehouse/snowflake.txt
	$(call beside,$(SNOWFLAKE),tests/warehouse/snowflake.txt)

$(LAKEHOUSE)/.installed: $(BIN)/uv tests/lakehouse/requirements.txt
	$(call beside,$(LAKEHOUSE),tests/lakehouse/requirements.txt)

$(ADAPTERS)/.installed: $(BIN)/uv tests/adapters/requirements.txt
	$(call beside,$(ADAPTERS),tests/adapters/requirements.txt)

# One resolution for every extra and every Python from 3.10 on. It names versions only: no index, no path.
constraints: $(VENV)/.installed-dev
	$(BIN)/uv pip compile --quiet --universal --python-version 3.10 --upgrade \
	  --no-emit-index-url --no-emit-find-links --no-annotate --no-header \
	  --all-extras --group pyproject.toml:integration --group pyproject.toml:training --group pyproject.toml:fuzz --group pyproject.toml:docs pyproject.toml \
	  --output-file $(VENV)/constraints.txt
	@{ echo "# Versions known to work together: the core, all extras, the tests' tools and the benchmarks' peers."; \
	   echo "# Written by: make constraints"; cat $(VENV)/constraints.txt; } > constraints.txt

# The site needs nothing of mailvet, so its generator runs in an environment of its own.
docs: $(VENV)/.installed-dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/uv tool run --constraints constraints.txt --from mkdocs --with mkdocs-material \
	  mkdocs --quiet build --strict

matrix: $(VENV)/.installed-dev
	$(BIN)/python -m tests.matrix $(SETS)

# The tools run in environments of their own, so that what is measured does not hold them.
sbom: $(VENV)/.installed-dev
	@mkdir -p dist
	$(BIN)/uv tool run --from 'cyclonedx-bom>=7' cyclonedx-py environment --pyproject pyproject.toml \
	  --output-reproducible --of JSON --output-file dist/mailvet.cdx.json $(VENV)
	$(BIN)/python docs/make_licences.py

audit: $(VENV)/.installed-dev
	$(BIN)/uv tool run --from 'pip-audit>=2.10' pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

clean:
	rm -rf $(VENV) $(SNOWFLAKE) $(LAKEHOUSE) $(ADAPTERS) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find mailvet ge_expectations tests -name __pycache__ -type d -prune -exec rm -rf {} +
