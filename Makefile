# Everything a newcomer or CI types. Each target makes its virtual environment when it is missing.

PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
UV     := $(shell command -v uv 2>/dev/null)
SEED   ?= 1
SIZE   ?=
ONCE   ?=
PORT   ?=
DATA   ?=
SUITE  ?= bookworm
UNITS  ?=
LOCK   ?= .locks/run.txt
OSV    ?=
SBOM   ?= dist/sbom.cdx.json

# Else each of the many processes that tests start compiles the product and its packages again.
unexport PYTHONDONTWRITEBYTECODE

.DEFAULT_GOAL := help
.PHONY: help demo test check lint types unit fmt docs bench proofs proof-vends proof-kill proof-audit proof-campaign proof-restore proof-keys proof-install test-system licences vulnerabilities sbom lock clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

# --- the virtual environment -------------------------------------------------------------------
# Two stamps over one folder: what the product needs to run, and what tests and tools add.
# Every package comes from a lock file with hashes; the project itself is installed without
# build isolation, so that nothing unlocked is fetched.
$(BIN)/python:
ifneq ($(UV),)
	$(UV) venv --quiet --python $(PYTHON) $(VENV) || { rm -rf $(VENV); exit 1; }
else
	$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); exit 1; }
endif

define install
	$(if $(UV),VIRTUAL_ENV=$(abspath $(VENV)) $(UV) pip install --quiet --require-hashes -r $(1),$(BIN)/python -m pip --disable-pip-version-check install --quiet --require-hashes -r $(1))
endef

$(VENV)/.run: .locks/run.txt .locks/build.txt pyproject.toml | $(BIN)/python
	$(call install,.locks/build.txt)
	$(call install,.locks/run.txt)
	$(if $(UV),VIRTUAL_ENV=$(abspath $(VENV)) $(UV) pip install --quiet --no-deps --no-build-isolation -e .,$(BIN)/python -m pip --disable-pip-version-check install --quiet --no-deps --no-build-isolation -e .)
	@touch $@

$(VENV)/.dev: .locks/dev.txt $(VENV)/.run
	$(call install,.locks/dev.txt)
	@touch $@

# --- the product --------------------------------------------------------------------------------
demo: $(VENV)/.run ## everything on simulated meters; ONCE=1 runs the loop once, PORT= and DATA= choose
	$(BIN)/metersim demo --data "$(or $(DATA),demo-data)" $(if $(PORT),--port $(PORT)) $(if $(ONCE),--once)

# --- work --------------------------------------------------------------------------------------
fmt: $(VENV)/.dev ## format, and apply the safe fixes
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix-only --quiet .

lint: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/lint-imports

types: $(VENV)/.dev
	$(BIN)/mypy

unit: $(VENV)/.dev
	$(BIN)/pytest -q -n auto --dist worksteal tests/unit tests/property/sts tests/property/simulators tests/vectors tests/tidy tests/docs

check: lint types unit ## what one runs before a commit

test: $(VENV)/.dev ## everything, both databases included
	$(BIN)/pytest -q -n auto --dist worksteal tests

test-system: ## Debian packages that make test needs and this machine lacks; as root it installs them
	@lacking=; \
	lacks() { echo "lacks $$1: $$2"; lacking="$$lacking $$1"; }; \
	{ [ -n "$(UV)" ] || $(BIN)/python -m pip --version || $(PYTHON) -c 'import ensurepip'; } >/dev/null 2>&1 || \
		lacks python3-venv 'makes the virtual environment'; \
	command -v curl >/dev/null || lacks curl 'the commands of the README are tested as printed'; \
	command -v softhsm2-util >/dev/null || lacks softhsm2 'PKCS#11 is tested with its tokens'; \
	command -v promtool >/dev/null || lacks prometheus 'promtool tests the alert rules'; \
	if [ -z "$$lacking" ]; then \
		echo 'make test lacks nothing: the databases come from the lock files'; \
	elif [ "$$(id -u)" -ne 0 ]; then \
		echo "root installs them: apt-get install --no-install-recommends$$lacking"; exit 1; \
	else \
		export DEBIAN_FRONTEND=noninteractive; \
		apt-get -q update && apt-get -q install --yes --no-install-recommends$$lacking; \
	fi

docs: $(VENV)/.dev ## write the generated pages again: settings, errors, state diagrams
	$(BIN)/python -m tests.docs.generate

bench: $(VENV)/.dev ## measure: tokens a second, sales a second, the audit chain, refusals of a dead module
	$(BIN)/python tests/bench/bench_sts.py --seed $(SEED)
	$(BIN)/python tests/bench/bench_vends.py --seed $(SEED)
	$(BIN)/python tests/bench/bench_key_change.py
	$(BIN)/python tests/bench/bench_audit.py --seed $(SEED)
	$(BIN)/python tests/bench/bench_module.py --seed $(SEED)

# --- what the product is made of ----------------------------------------------------------------
licences: $(VENV)/.dev ## the licence of every package, read from the texts it installs
	$(BIN)/python -m tests.supply.licences

vulnerabilities: $(VENV)/.dev ## known vulnerabilities of the locked packages; needs the network
	$(BIN)/pip-audit --strict --disable-pip --require-hashes --progress-spinner off -r $(LOCK) $(if $(OSV),--vulnerability-service osv --osv-url $(OSV))

sbom: $(VENV)/.dev ## the bill of materials as CycloneDX, from the lock file
	@mkdir -p $(dir $(SBOM))
	$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --of JSON -o $(SBOM) $(LOCK)

clean: ## remove the environment and what tools leave behind
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache dist build

lock: ## resolve the lock files again
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o .locks/build.txt .locks/build.in
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate -o .locks/run.txt pyproject.toml
	uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --no-annotate --extra dev -c .locks/run.txt -o .locks/dev.txt pyproject.toml

# --- proofs: each exits 1 on failure and ends with one line of figures ----------------------------
proof-vends: $(VENV)/.dev ## SIZE sales from 16 clients, a third repeats, on both databases
	$(BIN)/python tests/proofs/proof_vends.py --seed $(SEED) $(if $(SIZE),--size $(SIZE))

proof-kill: $(VENV)/.dev ## kill -9 the service under load, SIZE times on each database
	$(BIN)/python tests/proofs/proof_kill.py --seed $(SEED) $(if $(SIZE),--size $(SIZE))

proof-audit: $(VENV)/.dev ## tamper SIZE times with the audit chain as a superuser, on both databases
	$(BIN)/python tests/proofs/proof_audit.py --seed $(SEED) $(if $(SIZE),--size $(SIZE))

proof-restore: $(VENV)/.dev ## sell SIZE, back up, destroy, restore, sell; on both databases and across
	$(BIN)/python tests/proofs/proof_restore.py --seed $(SEED) $(if $(SIZE),--size $(SIZE))

proof-campaign: $(VENV)/.dev ## key revision and rollover over SIZE simulated meters, a third failing
	$(BIN)/python tests/proofs/proof_campaign.py --seed $(SEED) $(if $(SIZE),--size $(SIZE))

proof-keys: $(VENV)/.dev ## tamper with key store and backups: every bit, every length, SIZE more at random
	$(BIN)/python tests/proofs/proof_keys.py --seed $(SEED) $(if $(SIZE),--size $(SIZE))

proofs: proof-vends proof-kill proof-audit proof-campaign proof-restore proof-keys

proof-install: ## a bare Debian becomes a serving product (needs root)
	SUITE=$(SUITE) UNITS=$(UNITS) PYTHON=$(PYTHON) tests/proofs/proof_install.sh
