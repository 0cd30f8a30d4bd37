# Every target says in one line what it will do, and needs nothing that it does not install itself.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help setup demo check unit unit-runs unit-rest test lab-tests lab-tests-fleet lab-tests-rest lab-tests-own lab-tests-azure lab-tests-monitoring lab-tests-diagnosis lab-tests-traffic score nightly bench drill rehearse hardening faults docs clean need-root
ifndef ROWS
.NOTPARALLEL:
endif

PYTHON3 ?= python3
PYTHON := .venv/bin/python
READY := .venv/ready
# The lab makes network namespaces and mounts, so it and what reads its kubeconfig run as root; proxies and caches stay.
ROOT := $(if $(filter 0,$(shell id -u)),,sudo -E)
LAB := $(strip $(ROOT) $(PYTHON) -m tasks.lab)
# Tests and benchmarks have labs of their own: a demo that is up is left alone.
TEST_LAB := test
# Seconds a test, on a busy machine.
UNIT_TIMEOUT := 180
LAB_TIMEOUT := 900
PYTEST := $(PYTHON) -m pytest $(PYTEST_ARGS)
# Tests go in two rows side by side, for much of their time is waiting. Both end whatever comes of the other; PYTEST_ARGS
# (options, no files) may leave one without a test, which pytest calls 5.
SIDE_BY_SIDE := $(MAKE) --jobs=2 --keep-going ROWS=two
# A machine of CI may stand still for seconds, and its clusters with it: a test that fails is run again, twice at most, and listed.
# A lab that is broken ends its row instead of failing every test in its turn.
LAB_PYTEST = $(ROOT) $(PYTEST) -m 'lab and not nightly' --timeout=$(LAB_TIMEOUT) --reruns=2 -rR --maxfail=6 --durations=12 --durations-min=20
OR_NONE := $(if $(PYTEST_ARGS),|| [ $$? = 5 ])
# Where whole runs of pyinfra are: half of the time of the unit tests.
RUN_TESTS := tests/fleet $(addprefix tests/test_,aks.py azure_outage.py certificates.py control_plane.py copies.py issuers.py preflight.py \
  public_ips.py reservation.py rotation.py)
# The scenes of the fleet want four clusters, in this order. Some bring up labs of their own, and those that count lost
# requests want the machine as quiet as can be. The CRDs' tests want a cluster without Envoy Gateway, so they come first
# of whatever is in no list.
FLEET_TESTS := $(addprefix tests/lab/test_,deploys.py stuck.py)
OWN_TESTS := $(addprefix tests/lab/test_,traffic.py kills.py kills_restore.py lab_faults.py lab_life.py lab_loadbalancer.py scaling.py)
AZURE_TESTS := $(sort $(wildcard tests/lab/test_azure_*.py))
MONITORING_TESTS := $(wildcard $(addprefix tests/lab/test_,lab_monitoring.py monitoring.py dashboards.py alert_scenes_cluster.py \
  alert_scenes.py access_logs.py metrics.py))
DIAGNOSIS_TESTS := $(wildcard $(addprefix tests/lab/test_,flags.py routing.py captures.py diagnosis.py runbooks.py))
TRAFFIC_TESTS := $(wildcard $(addprefix tests/lab/test_,gateways.py grpc.py routes.py limits.py teams.py dynamic_routing.py adopt.py \
  rate_limits.py settings.py warned.py))
CRD_TESTS := tests/lab/test_crds.py
REST_TESTS := $(CRD_TESTS) $(filter-out $(CRD_TESTS) $(FLEET_TESTS) $(OWN_TESTS) $(AZURE_TESTS) $(MONITORING_TESTS) $(DIAGNOSIS_TESTS) $(TRAFFIC_TESTS),$(sort $(wildcard tests/lab/test_*.py)))

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-8s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

setup: $(READY) ## make the environment in .venv, from requirements.txt with hashes
	@$(PYTHON) -m compileall -q tasks # pyinfra's command line keeps nothing compiled: a quarter of a run's processor time

$(READY): requirements.txt pyproject.toml
	@echo "setup: environment in .venv from requirements.txt, with hashes (about a minute)"
	@$(PYTHON3) -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || \
	  { echo "setup: $(PYTHON3) must be Python 3.11 or newer with venv (Debian: apt install python3-venv)," \
	    "or name another: make setup PYTHON3=python3.12" >&2; exit 2; }
	@$(PYTHON3) -m venv .venv
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes -r requirements.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

demo: setup ## three lab clusters, install 1.8.3, traffic, upgrade to 1.9.1, report (25 min the first time)
	@echo "demo: three lab clusters in two rings (a lab that is up goes down first), Envoy Gateway 1.8.3, traffic, upgrade to 1.9.1, report;" \
	  "25 min the first time, nearly all of it compiling"
	@$(MAKE) need-root
	@$(LAB) down
	@$(LAB) up 3
	@$(LAB) sample
	@$(ROOT) .venv/bin/pyinfra inventory/lab.py deploys/install.py -y --data envoy_gateway_version='"1.8.3"'
	@$(ROOT) .venv/bin/pyinfra inventory/lab.py deploys/upgrade.py -y
	@echo "demo: done; the report is $$(ls -td runs/*/ | head -1)report.html"
	@echo "demo: look around with .venv/bin/pyinfra inventory/lab.py deploys/status.py, end it with $(LAB) down"

check: setup ## format, lint, types and the import rule; changes nothing
	@echo "check: format, lint, types and the import rule (20 s)"
	@.venv/bin/ruff format --check || { echo "check: run .venv/bin/ruff format" >&2; exit 1; }
	@.venv/bin/ruff check --quiet
	@.venv/bin/mypy
	@.venv/bin/lint-imports --no-logo

unit: setup ## tests that need no cluster (4 min)
	@echo "unit: tests that need no cluster (4 min), in two rows; each is printed when it has ended"
	@$(SIDE_BY_SIDE) --output-sync=target unit-runs unit-rest

unit-runs:
	@$(PYTEST) -q --timeout=$(UNIT_TIMEOUT) $(RUN_TESTS) $(OR_NONE)

unit-rest:
	@$(PYTEST) -q --timeout=$(UNIT_TIMEOUT) tests $(addprefix --ignore=,$(RUN_TESTS)) $(OR_NONE)

test: setup ## check, unit, then the tests on two labs side by side (an hour with parts cached)
	@echo "test: check, unit, then the tests on two labs side by side (an hour with parts cached)"
	@$(MAKE) check unit lab-tests

lab-tests: setup
	@echo "lab-tests: labs called $(TEST_LAB) (four clusters) and $(TEST_LAB)2 (two), their tests side by side; then" \
	  "those with labs of their own, $(TEST_LAB)3 (two clusters of Azure) and $(TEST_LAB)4 (one, with Prometheus)" \
	  "and $(TEST_LAB)5 (one, to be diagnosed) and $(TEST_LAB)6 (one, for gateways and traffic)"
	@$(MAKE) need-root
	@$(ROOT) true
	@$(SIDE_BY_SIDE) lab-tests-fleet lab-tests-rest lab-tests-own lab-tests-azure lab-tests-monitoring lab-tests-diagnosis lab-tests-traffic

lab-tests-fleet:
	@$(call marked,fleet); $(call with_lab,$(TEST_LAB),4,$(LAB_PYTEST) $(FLEET_TESTS) $(OR_NONE),$(MARKED_ENDS))

lab-tests-rest:
	@$(call marked,rest ); $(call with_lab,$(TEST_LAB)2,2,$(LAB_PYTEST) $(REST_TESTS) $(OR_NONE),$(MARKED_ENDS))

lab-tests-own:
	@$(call marked,own  ); trap '$(MARKED_ENDS)' EXIT; $(LAB_PYTEST) $(OWN_TESTS) $(OR_NONE)

lab-tests-azure:
	@$(call marked,azure); $(call with_lab,$(TEST_LAB)3,2 --azure,$(LAB_PYTEST) $(AZURE_TESTS) $(OR_NONE),$(MARKED_ENDS))

lab-tests-monitoring:
	@$(call marked,watch); $(call with_lab,$(TEST_LAB)4,1,$(LAB_PYTEST) $(MONITORING_TESTS) $(OR_NONE),$(MARKED_ENDS))

lab-tests-diagnosis:
	@$(call marked,why  ); $(if $(DIAGNOSIS_TESTS),$(call with_lab,$(TEST_LAB)5,1,$(LAB_PYTEST) $(DIAGNOSIS_TESTS) $(OR_NONE),$(MARKED_ENDS)),true)

lab-tests-traffic:
	@$(call marked,route); $(if $(TRAFFIC_TESTS),$(call with_lab,$(TEST_LAB)6,1,$(LAB_PYTEST) $(TRAFFIC_TESTS) $(OR_NONE),$(MARKED_ENDS)),true)

hardening: setup ## 10,000 generated bad inputs, as docs/bad-inputs.md has them
	@echo "hardening: 10,000 generated bad inputs, which write docs/bad-inputs.md (3 min)"
	@$(PYTHON) -m tests.bad_inputs

faults: setup ## every deploy through a failing API server, on a lab of its own, as docs/faults.md has it
	@echo "faults: a lab with one cluster, every deploy with a kind of fault of each family, 204 runs and 48 without, then 25 harms of this machine and the registry (45 min)"
	@$(MAKE) need-root
	@$(call with_lab,faults,1,$(ROOT) .venv/bin/pyinfra inventory/lab.py deploys/install.py -y && $(ROOT) $(PYTHON) -m tests.faults faults)

score: setup ## how often a diagnosis is right: captured faults and those of the gym, as docs/diagnosis-score.md has them
	@echo "score: how often a diagnosis is right over captured faults and those of the gym (a minute)"
	@$(PYTHON) -m tests.score

nightly: setup ## the long campaigns: random fleets, labs and upgrades killed at random moments
	@echo "nightly: 400 random fleets and 100,000 schedules through the ring engine, then 10,000 bad inputs and every deploy with faults of its API server, then 1,000 damaged archives, then 10,000 each of malformed certificates, bundles and lines of access logs, then 20 labs killed while they come up and 10,000 damaged config dumps, then every fault of the gym through the deploys, then 220 upgrades and 50 backups and restores killed (5 h; what is survived is not run again)"
	@$(MAKE) need-root
	@ENVOYFLEET_EXAMPLES=400 ENVOYFLEET_SCHEDULES=100000 $(PYTEST) -q tests/fleet/test_rings.py tests/plans/test_rings.py
	@$(MAKE) hardening faults
	@ENVOYFLEET_DAMAGES=1000 $(PYTEST) -q tests/fleet/test_damaged_archives.py
	@ENVOYFLEET_MALFORMED=10000 $(PYTEST) -q tests/plans/test_chains.py tests/diagnosis/test_malformed_bundles.py tests/diagnosis/test_access_logs.py
	@$(call with_lab,$(TEST_LAB),2,$(ROOT) $(PYTEST) -m nightly --timeout=7200)
	@$(call with_lab,$(TEST_LAB),1,$(ROOT) $(PYTHON) -m tests.gym --lab $(TEST_LAB) --all --through-deploys)
	@$(ROOT) $(PYTHON) -m tests.lab.campaign --alone 170 --back 20 --full 30 --restores 50

bench: setup ## every benchmark with its bounds, printed; each has a lab of its own
	@echo "bench: every file of benchmarks/, each on a lab of its own that goes down again; side_by_side.py alone takes an hour (two hours)"
	@$(MAKE) need-root
	@for it in benchmarks/*.py; do $(ROOT) $(PYTHON) $$it --print; done

drill: setup ## two lab clusters: one is backed up, its backup restored into the other, proven and taken away (3 min)
	@echo "drill: two lab clusters, Envoy Gateway and an application on the first, a backup, and the drill on the second (3 min)"
	@$(MAKE) need-root
	@trap '$(LAB) down --name drill' EXIT; \
	export ENVOYFLEET_LAB=drill; \
	$(LAB) up 2 --name drill; \
	$(LAB) sample drill-1 --name drill; \
	$(ROOT) .venv/bin/pyinfra inventory/drill.py deploys/install.py -y --limit drill-1; \
	$(ROOT) .venv/bin/pyinfra inventory/drill.py deploys/backup.py -y --limit drill-1; \
	$(ROOT) .venv/bin/pyinfra inventory/drill.py deploys/drill.py -y --limit drill-2
	@echo "drill: done; the evidence is $$(ls -t runs/*/drill-drill-1.html | head -1)"

rehearse: setup ## two lab clusters: the upgrade of the first is tried on the second, and back (5 min)
	@echo "rehearse: two lab clusters, Envoy Gateway 1.8.3 and an application on the first, its upgrade tried on the second (5 min)"
	@$(MAKE) need-root
	@trap '$(LAB) down --name rehearsal' EXIT; \
	export ENVOYFLEET_LAB=rehearsal; \
	$(LAB) up 2 --name rehearsal; \
	$(LAB) sample rehearsal-1 --name rehearsal; \
	$(ROOT) .venv/bin/pyinfra inventory/rehearsal.py deploys/install.py -y --limit rehearsal-1 --data envoy_gateway_version='"1.8.3"'; \
	$(ROOT) .venv/bin/pyinfra inventory/rehearsal.py deploys/rehearse.py -y --limit rehearsal-2
	@echo "rehearse: done; the report is $$(ls -t runs/*/rehearsal-rehearsal-1.md | head -1)"

docs: .venv/docs/ready ## docs/ and README as a site in site/, that opens from the folder; a broken link fails
	@echo "docs: docs/ and README.md as a site in site/, without a network; a broken link fails (5 s)"
	@.venv/docs/bin/mkdocs build
	@echo "docs: done; open site/index.html"

.venv/docs/ready: $(READY) docs/requirements.txt
	@echo "docs: mkdocs from docs/requirements.txt, with hashes, in .venv/docs"
	@$(PYTHON3) -m venv .venv/docs
	@.venv/docs/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r docs/requirements.txt
	@touch $@

clean: ## remove .venv, caches, rendered/ and site/; keeps runs/, backups/ and labs
	@echo "clean: remove .venv, caches, rendered/ and site/; runs/, backups/ and labs stay (end a lab: python -m tasks.lab down)"
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis rendered site *.egg-info
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +

need-root:
	@[ "$$(id -u)" = 0 ] || command -v sudo >/dev/null || \
	  { echo "the lab needs root: run make as root, or install sudo" >&2; exit 2; }

# $(call with_lab,name,clusters,command,end): the lab goes down whatever comes of the command, an interrupt too.
define with_lab
trap '$(LAB) down --name $(1); $(4)' EXIT; \
export ENVOYFLEET_LAB=$(1); \
$(LAB) up $(2) --name $(1); \
$(LAB) sample --name $(1); \
$(3)
endef

# $(call marked,row): from here on each line says of which row it is. An interrupt does not keep the last lines back.
define marked
exec > >(trap '' INT TERM HUP; exec sed --unbuffered 's/^/$(1) | /') 2>&1; row=$$!
endef
MARKED_ENDS := exec >&- 2>&-; timeout 5 tail --pid=$$row --follow /dev/null || true
