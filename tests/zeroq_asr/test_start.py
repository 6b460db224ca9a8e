"""What `transcribe` loads and holds: the model once, and little beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from int_kernels import available_kernels
from int_kernels.int_type import INT8, INT32, UINT8
from zeroq_asr.artifact import IntegerModel, save_model
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ops import GraphBuilder

WIDTH, DEPTH = 2048, 5
VOCABULARY = tuple("abcdefg")
RANDOM = np.random.default_rng(0)
GEOMETRY = {"stride": 1, "dilation": 1, "padding": 0, "groups": 1}


def large_model(bits: int) -> IntegerModel:
    """Five layers of four million weights."""
    b, top = GraphBuilder("integer"), 2 ** (bits - 1)
    x, inside = b.input("mel", 64, INT8), 64
    for depth in range(DEPTH):
        weight = RANDOM.integers(-top, top, (WIDTH, inside, 1)).astype(np.int8)
        constants = (
            b.constant(f"{depth}.weight", weight),
            b.constant(f"{depth}.bias", np.zeros(WIDTH, np.int32)),
            b.constant(f"{depth}.multiplier", np.full(WIDTH, 1 << 30, np.int32)),
            b.constant(f"{depth}.shift", np.full(WIDTH, 35 + bits, np.int8)),
        )
        attrs = {**GEOMETRY, "lo": 0, "hi": 255, "bits": bits}
        x, inside = b.node("conv1d", (x, *constants), f"y{depth}", WIDTH, type=UINT8, **attrs), WIDTH
    weight = RANDOM.integers(-top, top, (len(VOCABULARY) + 1, WIDTH, 1)).astype(np.int8)
    head = (b.constant("head.weight", weight), b.constant("head.bias", np.zeros(len(weight), np.int32)))
    logits = b.node("accumulate", (x, *head), "logits", len(weight), type=INT32, **GEOMETRY, bits=bits)
    tokens = b.node("argmax", (logits,), "tokens", 1, type=INT32)
    return IntegerModel(b.build((logits, tokens)), 0.05, FrontendSpec(), VOCABULARY, {})


def run(code: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True)
    return done.stdout


def write_noise(path: Path, seconds: int) -> None:
    with wave.open(str(path), "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(16000)
        out.writeframes(RANDOM.integers(-9000, 9000, 16000 * seconds).astype("<i2").tobytes())


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux to measure")
@pytest.mark.skipif(not available_kernels(), reason="the native backend is not built")
@pytest.mark.parametrize("bits", [8, 6])
def test_the_weights_are_in_memory_once(tmp_path: Path, bits: int) -> None:
    """Peak of the process, less that of numpy alone, less a byte per weight: arena, front end, code, graph.

    10 MB; it was 53 (W8) and 69 (W6) with the file mapped and the weights copied beside those in the kernels' order.
    """
    model, audio, out = tmp_path / "model.safetensors", tmp_path / "a.wav", tmp_path / "out.json"
    save_model(large_model(bits), model)
    write_noise(audio, 5)
    run(
        "import sys; from zeroq_asr.transcribe import main; main(sys.argv[1:])",
        *("--quiet", "--model", str(model), "--json", str(out), str(audio)),
    )
    floor = int(run("import numpy; from eval.memory import peak_memory_bytes; print(peak_memory_bytes())"))
    memory, weights = json.loads(out.read_text())["memory"], WIDTH * WIDTH * (DEPTH - 1)
    assert weights < memory["model"] < 1.03 * weights + 500_000
    assert memory["peak"] - floor < weights + 16e6


def test_what_is_not_needed_is_not_loaded(tmp_path: Path) -> None:
    """Neither the library for other sound files, nor those for writing, nor the reference, nor torch."""
    model, audio = tmp_path / "model.safetensors", tmp_path / "a.wav"
    save_model(large_model(2), model)
    write_noise(audio, 1)
    code = (
        "import sys; from zeroq_asr.transcribe import main; main(sys.argv[1:]); "
        "print(*{'.'.join(name.split('.')[:parts]) for name in sys.modules for parts in (1, 2)})"
    )
    loaded = set(run(code, "--quiet", "--model", str(model), str(audio)).splitlines()[-1].split())
    assert {"numpy", "int_kernels", "zeroq_asr"} <= loaded
    unwanted = {"soundfile", "soxr", "safetensors", "torch", "tempfile", "subprocess", "fractions", "decimal"}
    assert not loaded & {*unwanted, "int_kernels.reference", "scipy", "multiprocessing", "email"}
