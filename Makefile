# Five verbs: demo, test, check, lock, clean. Everything happens in .venv; nothing else on the machine is touched.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
NATIVE := $(wildcard int_kernels/native/*.c int_kernels/native/*.h)

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

test: $(STAMP)
	OMP_WAIT_POLICY=PASSIVE $(BIN)/python -m pytest -q

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
