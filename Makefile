# demo, test, nightly, check, docs, wheel, lock, clean. Everything happens in .venv; nothing else on the machine is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NATIVE := $(shell find int_kernels/native -name "*.[ch]")
# One process per core, each with one thread of torch; four at most, as the largest parity test takes 7 GB, another 3.5.
PYTEST := OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q -n logical --maxprocesses 4 --dist worksteal

.PHONY: demo test nightly check docs wheel lock clean
.DEFAULT_GOAL := demo

# torch goes in alone and first: any other package that asks for it would otherwise choose a build of several gigabytes.
$(STAMP): requirements-dev.lock setup.py pyproject.toml $(NATIVE)
	@command -v gcc >/dev/null || command -v cc >/dev/null || { echo "a C compiler is needed: apt-get install gcc libc6-dev python3-dev" >&2; exit 2; }
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements-dev.lock
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps 'setuptools>=70.1' --editable .
	touch $@

demo: $(STAMP)
	$(BIN)/python -m zeroq_asr.demo

test: $(STAMP)
	$(PYTEST) -m "not nightly"

# What is slow and rarely fails.
nightly: $(STAMP)
	$(PYTEST) -rP -m nightly

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: $(STAMP)
	$(BIN)/mkdocs build --strict

# dist/ gets the source archive and the wheel made from it. On Linux auditwheel checks what the wheel links to and gives
# it the manylinux tag of the oldest glibc that serves; elsewhere the wheel stays as it is.
wheel: $(STAMP)
	rm -rf dist
	$(BIN)/python -m build --outdir dist
	test "$$(uname)" != Linux || { PATH="$(abspath $(BIN)):$$PATH" $(BIN)/auditwheel repair --wheel-dir dist dist/*-linux_*.whl && rm dist/*-linux_*.whl; }

# Writes requirements-dev.lock anew from what .venv holds.
lock: $(STAMP)
	@{ head -n 2 requirements-dev.lock; $(BIN)/pip freeze --exclude-editable | grep -vE '^(torch|onnxruntime|openvino|openvino-telemetry|nncf|flatbuffers|ninja|psutil|pydot)=='; } > requirements-dev.lock.new
	mv requirements-dev.lock.new requirements-dev.lock

clean:
	rm -rf $(VENV) build dist site *.egg-info zeroq-out
