# Needs GNU make and Python 3.11 or newer, nothing else. Another interpreter: make test PYTHON=python3.12
#
#   make train         the main job: trains, evaluates and plots a model on real data
#                      (again: make train TRAIN_ARGS=--overwrite)
#   make test          lint, types and the quick tests (at most 6 minutes on 2 cores)
#   make slow          sweeps, long runs and the notebooks (some alone: make slow SLOW=docs)
#   make lower-bounds  the quick tests with the oldest dependencies that pyproject.toml allows
#   make benchmark     the reference circuit beside the naive implementation and Strawberry Fields
#   make peers         fockjax beside its peers, each in an environment that this makes
#   make format        rewrites the code as `make test` wants it
#   make clean         removes the environments and the caches
#
# An environment lives in .venv/<Python version> and is remade only when pyproject.toml changes.

PYTHON ?= python3
JOBS ?= 2
PYTEST_ARGS ?=
SLOW ?=
TRAIN_ARGS ?=

VERSION := $(shell $(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)
ENV := .venv/$(VERSION)
BIN := $(ENV)/bin
OLDEST := .venv/$(VERSION)-lower-bounds
PYTEST := -m pytest -n $(JOBS) --dist loadfile $(PYTEST_ARGS)

.PHONY: train test slow lower-bounds benchmark peers format clean

train: $(ENV)/installed
	$(BIN)/fockjax train $(TRAIN_ARGS)

test: $(ENV)/installed-dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/basedpyright --pythonpath $(BIN)/python
	$(BIN)/python $(PYTEST) -m "not slow"

slow: $(ENV)/installed-dev,notebooks
	$(BIN)/python $(PYTEST) -m slow $(SLOW)
	$(if $(wildcard notebooks/*.ipynb),$(BIN)/python $(PYTEST) --nbmake notebooks)

lower-bounds: $(OLDEST)/installed
	$(OLDEST)/bin/python $(PYTEST) -m "not slow"

benchmark: $(ENV)/installed-dev
	$(BIN)/python benchmarks/import_time.py
	$(BIN)/python benchmarks/reference.py

peers: $(ENV)/installed-dev
	$(BIN)/python benchmarks/peers/run.py

format: $(ENV)/installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .pytest_cache .ruff_cache .hypothesis

# The stamps. `installed` is the package alone, `installed-<extras>` the package with extras.
$(ENV)/made $(OLDEST)/made:
	@test -n "$(VERSION)" || { echo "No Python found as '$(PYTHON)'. Name one: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "fockjax needs Python 3.11 or newer, but '$(PYTHON)' is $(VERSION). Name another: make $(MAKECMDGOALS) PYTHON=python3.12" >&2; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { echo "'$(PYTHON)' cannot make environments: it lacks ensurepip. On Debian and Ubuntu: apt install python$(VERSION)-venv" >&2; exit 1; }
	$(PYTHON) -m venv --clear $(@D)
	@touch $@

$(ENV)/installed: pyproject.toml $(ENV)/made
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(ENV)/installed-%: pyproject.toml $(ENV)/made
	$(BIN)/python -m pip install --quiet --editable '.[$*]'
	@touch $@

# uv for its resolver: pip knows no oldest versions.
$(OLDEST)/installed: pyproject.toml $(OLDEST)/made
	$(OLDEST)/bin/python -m pip install --quiet uv
	$(OLDEST)/bin/python -m uv pip install --quiet --python $(OLDEST)/bin/python \
	  --resolution lowest-direct --editable '.[test]'
	@touch $@
