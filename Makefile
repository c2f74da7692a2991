# What people and CI run. Each target installs what it needs into .venv, from exact pins.
PYTHON ?= python3
IN := .venv/bin
PIP_INSTALL := $(IN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt

.PHONY: help serve test crash-test compose-test check format train train-default evaluate fuzz audit licences bench bench-peers bench-gpu test-gpu bench-soak bench-overload clean
.DEFAULT_GOAL := help

help:  ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

serve: .venv/serve  ## start the service on http://127.0.0.1:8000
	@exec $(IN)/python -m service --migrate

test: .venv/test  ## run all tests, with coverage
	$(IN)/python -m pytest --numprocesses 2 --cov --cov-report=term:skip-covered

crash-test: .venv/test  ## 200 kills on both databases and 200 losses of power; REAPPEAR_TEST_SEED for others
	REAPPEAR_TEST_KILLS=200 REAPPEAR_TEST_LOSSES=200 $(IN)/python -m pytest -o faulthandler_timeout=3600 -rP --durations=5 tests/crash tests/faults

compose-test: .venv/test  ## build the image, bring the stack up, hurt it, upgrade it, take it down (needs Docker, or root)
	$(IN)/python -m pytest tests/compose

check: .venv/test  ## lint, formatting, types, layers
	$(IN)/ruff check .
	$(IN)/ruff format --check .
	$(IN)/mypy
	$(IN)/lint-imports --no-logo

format: .venv/test  ## format and fix what can be fixed
	$(IN)/ruff format .
	$(IN)/ruff check --fix .

train: .venv/train  ## train an extractor: make train TRAIN='DATA --out RUN'; docs/model.md
	$(IN)/python -m models train $(TRAIN)

train-default: .venv/train  ## make models/default again: training, thresholds, export, evaluation, card
	$(IN)/python -m models.train_default $(TRAIN)

.venv/python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed") if sys.version_info < (3, 11) else None'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/serve: .venv/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[cpu]'
	@touch $@

.venv/train: .venv/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[cpu,train]'
	@touch .venv/serve $@

.venv/test: .venv/python pyproject.toml constraints.txt
	$(PIP_INSTALL) -e '.[cpu,train,test]'
	@touch .venv/serve .venv/train $@

EVALUATE ?= models/default people:street
evaluate: .venv/train  ## judge a model by the Market-1501 protocol: make evaluate EVALUATE='MODEL DATA'
	$(IN)/python -m models evaluate $(EVALUATE)

FUZZ_S ?= 60
fuzz: .venv/test  ## look for pictures that break the decoder, for FUZZ_S seconds; findings are in build/fuzz/
	@mkdir -p build/fuzz/corpus
	$(IN)/python -m tests.fuzz.target -max_total_time=$(FUZZ_S) -timeout=20 -artifact_prefix=build/fuzz/ build/fuzz/corpus

audit: .venv/audit  ## known vulnerabilities of all that is pinned; says so where nobody can be asked
	$(IN)/python -m tools.audit

licences: .venv/test  ## write docs/licences.md anew
	$(IN)/python -m tools.licences

QUICK ?=
bench: .venv/test  ## measure everything side by side into benchmarks/results.json and docs/performance.md; QUICK=1: 5 minutes
	$(IN)/python -m benchmarks $(if $(QUICK),--quick) $(BENCH)

bench-peers: .venv/test  ## the same vectors in milvus-lite and qdrant local mode, in environments of their own
	$(IN)/python -m benchmarks.peers
	$(IN)/python -m benchmarks.report

GPU_EXTRA ?= gpu
GPU := .venv-$(GPU_EXTRA)
$(GPU)/ready: pyproject.toml constraints.txt docker/constraints-gpu.txt
	$(PYTHON) -m venv $(GPU)
	$(GPU)/bin/python -m pip install --quiet --disable-pip-version-check 'pip==26.3'
	$(GPU)/bin/python -m pip install --quiet -c constraints.txt -c docker/constraints-gpu.txt -e '.[$(GPU_EXTRA),test]'
	@touch $@

bench-gpu: .venv/test  ## search, network and service on a GPU; says so where there is none. GPU_EXTRA=gpu-cuda12 for drivers before R580
	@if nvidia-smi -L >/dev/null 2>&1; then $(MAKE) $(GPU)/ready && $(GPU)/bin/python -m benchmarks.gpu; else $(IN)/python -m benchmarks.gpu; fi
	$(IN)/python -m benchmarks.report

test-gpu:  ## the tests that need a GPU, in an environment of their own
	@if nvidia-smi -L >/dev/null 2>&1; then $(MAKE) $(GPU)/ready && $(GPU)/bin/python -m pytest -m gpu tests/index; else echo 'no GPU: nvidia-smi names none'; fi

SOAK_S ?= 600
bench-soak: .venv/test  ## mixed load for SOAK_S seconds: does memory stay flat
	$(IN)/python -m benchmarks.soak --seconds $(SOAK_S)
	$(IN)/python -m benchmarks.report

bench-overload: .venv/test  ## four times as many requests as can be served; writes benchmarks/results/overload.json
	$(IN)/python -m benchmarks.overload

.venv/audit: .venv/python pyproject.toml constraints.txt
	$(PIP_INSTALL) 'pip-audit==2.10.1'
	@touch $@

clean:  ## remove .venv and caches; data/ stays
	rm -rf .venv .venv-* build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .coverage .coverage.*
