# sim2arm: what a person does with a checkout. `make help` lists the targets.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

EXTRAS ?= train,dds,vision,meshes,view,suite,realsense,sign,dev
# Address of another package index for torch alone (PyTorch's CPU wheels, for example).
TORCH_INDEX ?=
VENV ?= .venv
PIP_FLAGS ?= --quiet --disable-pip-version-check
PYTEST_ARGS ?=
COMPUTING := tests/calibration tests/core tests/policies tests/sim
ALONE := demo doctor_robot_walk eval late_arm main measured online online_ros record record_teleop ros ros_replay train_ranks turns
COMPUTING += $(filter-out $(ALONE:%=tests/cli/test_%.py),$(wildcard tests/cli/test_*.py))
# Of the nodes what is pure code.
PURE := activation bag_others camera_calibrations collections command_track convert convert_pictures dynamics_log fault_list
PURE += fault_table policy_faults flight forces gate gate_about gate_fuzz gate_machine graph latency launch motion_events
PURE += operator_deeds operator_state outdated package picture_topics planted playback policy_session real_time robot_files
PURE += robot_modes sensor_health servo_arm sources supervisor supported view_events wiggle witness
COMPUTING += $(PURE:%=tests/deploy_ros/test_%.py) tests/benchmarks/test_calibration.py
COMPUTING += $(patsubst %,tests/sensors/%.py,test_depth test_device_clock test_markers teleop/test_clutch \
  teleop/test_following teleop/test_person teleop/test_servo_packets teleop/test_spacemouse)
FAULTS := -m "faults or fault_list" --timeout 7200 --table=benchmarks/results/faults.json
BENCH ?= env ros
ROBOT_EXTRAS ?= vision,sign,view

comma := ,
PY := $(VENV)/bin/python
STAMP := $(VENV)/.installed-$(subst $(comma),-,$(EXTRAS))

.PHONY: help setup demo test test-base robot check lint types imports changelog format learn faults interop bench constraints clean FORCE

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' Makefile

# Another torch than the one that is installed was asked for.
ifneq ($(TORCH_INDEX),)
ifneq ($(TORCH_INDEX),$(shell cat $(VENV)/.torch-index 2>/dev/null))
$(STAMP): FORCE
endif
endif

setup: $(STAMP) ## create .venv and install everything (TORCH_INDEX=URL, PYTHON=python3.x, EXTRAS=...)

$(STAMP): pyproject.toml constraints.txt
	@.ci/make_venv --min 3.11 --max 3.13 --python "$(PYTHON)" $(VENV)
	@echo "sim2arm: installing .[$(EXTRAS)] into $(VENV) (a few minutes the first time)"
	@if [ -n "$(TORCH_INDEX)" ]; then \
	  $(PY) -m pip install $(PIP_FLAGS) --force-reinstall --no-deps --index-url "$(TORCH_INDEX)" \
	    -c constraints.txt torch; \
	  echo "$(TORCH_INDEX)" > $(VENV)/.torch-index; fi
	@$(PY) -m pip install $(PIP_FLAGS) -c constraints.txt -e ".[$(EXTRAS)]"
	@rm -f $(VENV)/.installed-*; touch $@

demo: $(STAMP) ## train, evaluate, export, run through ROS 2 nodes, report
	@$(VENV)/bin/sim2arm demo

# Two at a time what only computes; what keeps time runs alone.
test: $(STAMP) ## the fast test suite (PYTEST_ARGS="tests/core -k gate")
ifneq ($(PYTEST_ARGS),)
	@$(PY) -m pytest $(PYTEST_ARGS)
else
	@OMP_NUM_THREADS=1 $(PY) -m pytest -n 2 --dist loadfile $(COMPUTING)
	@$(PY) -m pytest $(addprefix --ignore=,$(COMPUTING))
endif

learn: $(STAMP) ## learning tests with three seeds (hours), results in benchmarks/results/learn.json
	@$(PY) -m pytest -m learn --timeout 7200 --table=benchmarks/results/learn.json $(PYTEST_ARGS)

faults: $(STAMP) ## the list of faults with its long tables, results in benchmarks/results/faults.md
	@OMP_NUM_THREADS=1 $(PY) -m pytest $(FAULTS) -n 2 --dist load $(COMPUTING) $(PYTEST_ARGS)
	@$(PY) -m pytest $(FAULTS) --more $(addprefix --ignore=,$(COMPUTING)) $(PYTEST_ARGS)

interop: $(STAMP) ## our datasets in lerobot, lerobot's in ours (LEROBOT_PYTHON=path SETS="folders")
	@if [ -z "$(LEROBOT_PYTHON)" ]; then \
	  echo "sim2arm: missing: LEROBOT_PYTHON=<a Python that has lerobot installed>" >&2; exit 1; fi
	@$(PY) -m tests.interop.our_side $(if $(GOLDEN),--golden $(GOLDEN)) "$(LEROBOT_PYTHON)" $(SETS)

bench: $(STAMP) ## benchmarks, results in runs/bench (BENCH="env ros")
	@mkdir -p runs/bench
	@for name in $(BENCH); do $(VENV)/bin/sim2arm bench $$name --json runs/bench/$$name.json; done

# The robot side alone: its own environment without simulator and torch. DDS is there for the nodes to
# import; tests that start nodes are those of `make test`.
test-base: ## robot-side tests in an environment of their own (PYTHON=python3.10 NUMPY=1.26.4)
	@base=$$(.ci/make_venv --min 3.10 --max 3.14 --python "$(PYTHON)" --print-version); \
	venv=".venv-base-$$base$(if $(NUMPY),-numpy$(NUMPY))"; stamp="$$venv/.installed"; \
	.ci/make_venv --min 3.10 --max 3.14 --python "$(PYTHON)" "$$venv"; \
	if [ ! "$$stamp" -nt pyproject.toml ] || [ ! "$$stamp" -nt constraints-robot.txt ]; then \
	  echo "sim2arm: installing .[vision,sign,view,dds,dev] into $$venv"; \
	  "$$venv/bin/python" -m pip install $(PIP_FLAGS) -c constraints-robot.txt -e ".[vision,sign,view,dds,dev]" \
	    $(if $(NUMPY),numpy==$(NUMPY)); touch "$$stamp"; fi; \
	SIM2ARM_BASE=1 "$$venv/bin/python" -m pytest $(PYTEST_ARGS)

# On a computer with a sourced ROS 2: nodes that `ros2 run` and `ros2 launch` find, in an environment
# that sees the packages of ROS. `python -m colcon` makes the nodes start with that environment.
robot: ## ROS 2 workspace in install/ on a computer with ROS (ROBOT_EXTRAS=vision,sign,view)
	@if [ -z "$${ROS_DISTRO:-}" ]; then \
	  echo "sim2arm: missing: a sourced ROS 2 (source /opt/ros/<distribution>/setup.bash)" >&2; exit 1; fi
	@.ci/make_venv --min 3.10 --max 3.14 --python "$(or $(PYTHON),/usr/bin/python3)" \
	  --system-site-packages .venv-robot
	@.venv-robot/bin/python -c 'import colcon_core' 2>/dev/null || { \
	  echo "sim2arm: missing: colcon (apt install python3-colcon-common-extensions)" >&2; exit 1; }
	@.venv-robot/bin/python -m pip install $(PIP_FLAGS) -c constraints-robot.txt -e ".[$(ROBOT_EXTRAS)]"
	@.venv-robot/bin/python -m colcon build --base-paths deploy_ros
	@echo "sim2arm: now: source install/setup.bash"

check: lint types imports changelog ## lint, types, import contracts, changelog

lint: $(STAMP)
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/shellcheck docker/scripts/* .ci/*

format: $(STAMP) ## format and sort the code
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .

types: $(STAMP)
	@$(VENV)/bin/pyright --pythonpath $(PY)

imports: $(STAMP)
	@$(VENV)/bin/lint-imports

changelog:
	@awk '/^## \[Unreleased\]/ {on=1; next} /^## / {on=0} on && /^- / {n++} \
	  END {if (!n) {print "CHANGELOG.md: expected at least one \"- \" line under [Unreleased]"; exit 1}}' CHANGELOG.md

# Needs `uv` on the PATH: writes both constraint files for all supported versions of Python.
constraints: ## renew constraints.txt and constraints-robot.txt
	@.ci/renew_constraints

clean: ## remove environments, builds and caches (results in runs/ stay)
	@rm -rf .venv .venv-base-* build dist src/*.egg-info .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
