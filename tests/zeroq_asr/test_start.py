"""What `transcribe` loads and holds: the model once, and little beside it."""

from __future__ import annotations

import json
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

from int_kernels import INT8, INT32, UINT8, Argmax, Conv1d, Dyadic, Program, Step, ValueSpec, available_kernels
from zeroq_asr.artifact import IntegerModel, save_model
from zeroq_asr.frontend.spec import FrontendSpec

WIDTH, DEPTH = 2048, 5
VOCABULARY = tuple("abcdefg")
RANDOM = np.random.default_rng(0)


def large_model(bits: int) -> IntegerModel:
    """Five layers of four million weights."""
    top, values, steps = 2 ** (bits - 1), [ValueSpec("mel", 64, INT8)], list[Step]()
    for depth in range(DEPTH):
        weight = RANDOM.integers(-top, top, (WIDTH, values[-1].channels, 1)).astype(np.int8)
        rescale = Dyadic(np.full(WIDTH, 1 << 30), np.full(WIDTH, 35 + bits))
        bias, name = np.zeros(WIDTH, np.int32), f"y{depth}"
        steps.append(Conv1d(values[-1].name, name, weight, bias, rescale=rescale, clip=(0, 255), weight_bits=bits))
        values.append(ValueSpec(name, WIDTH, UINT8))
    weight = RANDOM.integers(-top, top, (len(VOCABULARY) + 1, WIDTH, 1)).astype(np.int8)
    steps += [
        Conv1d(values[-1].name, "logits", weight, np.zeros(len(weight), np.int32), weight_bits=bits),
        Argmax("logits", "tokens"),
    ]
    values += [ValueSpec("logits", len(weight), INT32), ValueSpec("tokens", 1, INT32)]
    program = Program(tuple(values), tuple(steps), "mel", ("logits", "tokens"))
    return IntegerModel(program, 0.05, FrontendSpec(), VOCABULARY, {})


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
    assert not loaded & {*unwanted, "int_kernels.backends.reference", "scipy", "multiprocessing", "email"}
