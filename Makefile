# `make sweep` and `make test` each set up .venv by themselves; `make help` lists the rest.
#
#   OVERRIDES="..."   settings handed on, as in: make sweep OVERRIDES="optim.lr=.05 seed=0,1"
#   TORCH=auto        auto: the CUDA build where nvidia-smi answers, else the CPU build; or cpu, cuda
#   PYTHON=...        the interpreter .venv is made with; default: the first that is 3.11 to 3.13

.DEFAULT_GOAL := help
.PHONY: setup sweep test ui check experiments bench clean lock help

VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
TORCH ?= auto
OVERRIDES ?=
PYTHON ?= $(shell for p in python3.11 python3.12 python3.13 python3 python; do \
	"$$p" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& { echo "$$p"; break; }; done)
PIP := $(BIN)/python -m pip --disable-pip-version-check
CPU_INDEX := https://download.pytorch.org/whl/cpu

setup: $(READY) ## make .venv: pinned torch first, then everything in requirements.lock

$(READY): requirements.lock pyproject.toml
	@test -n "$(PYTHON)" || { echo "make: no Python 3.11 to 3.13 found." \
		"Install one, or name it: make setup PYTHON=/path/to/python3.12" >&2; exit 2; }
	@echo "setting up $(VENV) (once; several minutes on a slow line) ..." >&2
	"$(PYTHON)" -m venv --clear $(VENV)
	@# torch comes first and alone: any other order pulls gigabytes of CUDA packages on a CPU machine
	@torch=$$(grep -E '^torch==' requirements.lock | cut -d' ' -f1); build="$(TORCH)"; \
	if [ "$$build" = auto ]; then \
		if nvidia-smi >/dev/null 2>&1; then build=cuda; else build=cpu; fi; fi; \
	case "$$build" in \
	cpu) $(PIP) install -qq --no-deps --retries 0 --index-url $(CPU_INDEX) "$$torch+cpu" \
			2>/dev/null \
		|| { echo "no CPU build at $(CPU_INDEX); taking the package index's build" >&2; \
			$(PIP) install -qq "$$torch"; } ;; \
	cuda) $(PIP) install -qq "$$torch" ;; \
	*) echo "make: TORCH is '$$build'; allowed: auto, cpu, cuda." >&2; exit 2 ;; \
	esac
	$(PIP) install -qq -r requirements.lock
	$(PIP) install -qq --no-deps --no-build-isolation -e .
	@touch $@

sweep: $(READY) ## the main job: 360 runs on a tenth of the census names, tracked in MLflow
	$(BIN)/harness sweep experiment=main $(OVERRIDES)

test: $(READY) ## the quick tests
	$(BIN)/python -m pytest -n auto --dist loadfile

ui: $(READY) ## MLflow's pages over the same store, on 127.0.0.1
	$(BIN)/harness ui

check: $(READY) ## lint, format, types, quick tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/python -m pytest -n auto --dist loadfile

experiments: $(READY) ## every study but those that run by name alone: results.csv, figures, and what their READMEs quote
	$(BIN)/python -m experiments

bench: $(READY) ## the engine beside its peers and the core's limits; writes docs/benchmarks.md
	$(BIN)/python -m benchmarks --write

clean: ## remove .venv, builds and caches; results (runs/, mlflow.db, mlartifacts/) stay
	rm -rf $(VENV) build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

lock: ## pin every dependency anew for Python 3.11 to 3.13 (needs uv; CUDA's packages stay out)
	{ echo "# Every dependency, pinned for Python 3.11 to 3.13; made by 'make lock'."; \
	  echo "# Install torch first and alone, as the Makefile does: CUDA's packages are left out on purpose."; \
	  echo 'torch==2.13.0' | uv pip compile pyproject.toml --extra dev --universal --python-version 3.11 \
		--constraint - --no-header --no-annotate --no-emit-index-url --quiet \
	  | grep -vE '^(nvidia-|cuda-|triton)'; } > requirements.lock.new
	mv requirements.lock.new requirements.lock

help: ## this list
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10
