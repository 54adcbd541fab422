# `make demo` and `make test` each do all their own set-up, once: an environment in .venv with
# pinned versions. They install again when pyproject.toml or constraints.txt changes.

# The first suitable Python on the path; override with `make PYTHON=/path/to/python3.12 …`.
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c $(SUITABLE) >/dev/null 2>&1 && { echo $$python; break; }; done)
SUITABLE = 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))'
BIN := .venv/bin
SHELL := /bin/bash
# The folder of the environment that a rule is about.
ENVIRONMENT = $(firstword $(subst /, ,$@))

# Constrains the build environment too: older pips read the first name for it, newer the second.
export PIP_CONSTRAINT := constraints.txt
export PIP_BUILD_CONSTRAINT := constraints.txt
export PIP_DISABLE_PIP_VERSION_CHECK := 1

.PHONY: help demo test lint format docs bench bench-gpu bench-networks release

help:
	@echo "make demo    draw scenes, train FCN-32s to 4s on them, write demo/demo.png"
	@echo "make test    run the tests                (ARGS='tests/cli -x' for a part)"
	@echo "make bench   time kernels, runtimes and a folder beside torch and the peers (bench-gpu: on a GPU)"
	@echo "make bench-networks  time every network, write docs/networks.md (ARGS='--data …': and train)"
	@echo "make lint    ruff and mypy --strict"
	@echo "make format  let ruff format and mend what it can"
	@echo "make release build the wheel and the sdist into dist/, check both and install the wheel"
	@echo "make docs    draw the documentation's pictures, build it into build/site"

demo: .venv/base.stamp
	$(BIN)/perpixel demo $(ARGS)

# Two at a time: half of the tests' time is waiting. A file's tests stay together, with what they share.
test: .venv/dev.stamp
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

# The peers have an environment of their own, so that nothing perpixel does can come to need them.
bench: .bench-venv/bench.stamp
	.bench-venv/bin/python benchmarks/kernels.py $(ARGS)
	.bench-venv/bin/python benchmarks/training_step.py
	.bench-venv/bin/python benchmarks/runtimes.py
	.bench-venv/bin/python benchmarks/folder.py
	.bench-venv/bin/python benchmarks/serving.py
	.bench-venv/bin/python benchmarks/mutated_images.py

bench-gpu: .bench-venv/bench.stamp
	.bench-venv/bin/python benchmarks/kernels.py --device cuda $(ARGS)
	.bench-venv/bin/python benchmarks/training_step.py --device cuda

lint: .venv/dev.stamp
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench-networks: .venv/base.stamp
	$(BIN)/python benchmarks/networks.py $(ARGS)

format: .venv/dev.stamp
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

# Nothing is published. Built in an environment of their own, from what pyproject.toml asks for; then
# the tests that otherwise build their own look at exactly these two files.
release: .venv/dev.stamp
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	PERPIXEL_DIST=$(CURDIR)/dist $(BIN)/python -m pytest tests/release
	@ls -l dist

# Pictures are drawn again when the program or the drawing has changed. A broken link is an error.
docs: .venv/docs.stamp
	$(BIN)/python docs/prepare.py
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet
	@echo "wrote build/site/index.html"

# pip's own progress bars are one for each file; this is one line for all.
# $(call install,what) — the exit status is pip's.
define install
	@echo "Installing $(1) into $(ENVIRONMENT) (the first time: up to 6 GB, some minutes) …"
	@set -o pipefail; $(ENVIRONMENT)/bin/python -m pip install --progress-bar off -e '$(1)' | awk ' \
		/^ *(Collecting|Downloading|Building|Installing)/ { \
			printf "\r\033[K  %.70s", $$1 " " $$2; fflush() } \
		END { printf "\r\033[K" }'
	@touch $@
endef

.venv/base.stamp: .venv/bin/activate pyproject.toml constraints.txt
	$(call install,.)

.venv/dev.stamp: .venv/base.stamp
	$(call install,.[dev])

.venv/docs.stamp: .venv/base.stamp
	$(call install,.[docs])

.bench-venv/bench.stamp: .bench-venv/bin/activate pyproject.toml constraints.txt
	$(call install,.[bench])

# `activate` is the last file that venv writes: where it is missing, there is no environment, or
# one that was interrupted and is begun anew.
.venv/bin/activate .bench-venv/bin/activate:
	@if [ -z "$(PYTHON)" ]; then \
		echo "perpixel needs Python 3.11, 3.12 or 3.13, and none is on the path." \
			"Install one, or name it: make PYTHON=/path/to/python3.12 …" >&2; exit 2; fi
	@"$(PYTHON)" -c $(SUITABLE) 2>/dev/null || { \
		echo "perpixel needs Python 3.11, 3.12 or 3.13; $(PYTHON) is" \
			"$$("$(PYTHON)" --version 2>/dev/null || echo 'not a Python')." \
			"Name another: make PYTHON=/path/to/python3.12 …" >&2; exit 2; }
	@"$(PYTHON)" -m venv --clear $(ENVIRONMENT) || { \
		echo "$(PYTHON) cannot make an environment; on Debian and Ubuntu install the package" \
			"python3-venv, then run make again." >&2; rm -rf $(ENVIRONMENT); exit 2; }
