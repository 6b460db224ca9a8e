# Five verbs: demo, test, check, lock, clean. Everything happens in .venv; nothing else on the machine is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NATIVE := $(shell find int_kernels/native -name "*.[ch]")

.PHONY: demo test check lock clean
.DEFAULT_GOAL := demo

# torch goes in alone and first: any other package that asks for it would otherwise choose a build of several gigabytes.
$(STAMP): requirements.txt setup.py pyproject.toml $(NATIVE)
	@command -v gcc >/dev/null || command -v cc >/dev/null || { echo "a C compiler is needed: apt-get install gcc libc6-dev python3-dev" >&2; exit 2; }
	test -d $(VENV) || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check torch==2.13.0
	$(BIN)/pip install --quiet --disable-pip-version-check -r requirements.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --editable .
	touch $@

demo: $(STAMP)
	$(BIN)/python -m zeroq_asr.demo

# One process per core, each with one thread of torch; four at most, as the largest parity test takes 7 GB, another 3.5.
test: $(STAMP)
	OMP_NUM_THREADS=1 OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q -n logical --maxprocesses 4 --dist worksteal

check: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Writes requirements.txt anew from what .venv holds.
lock: $(STAMP)
	@{ head -n 2 requirements.txt; $(BIN)/pip freeze --exclude-editable | grep -vE '^(torch|onnxruntime|openvino|openvino-telemetry|nncf|flatbuffers|ninja|psutil|pydot)=='; } > requirements.txt.new
	mv requirements.txt.new requirements.txt

clean:
	rm -rf $(VENV) build *.egg-info zeroq-out
