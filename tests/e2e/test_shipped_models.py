"""The other shipped models through the thread: quick synthetic data, W8A8, proof on speech, the float model's words."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path

import pytest

from zeroq_asr import evaluate, verify
from zeroq_asr.models.shipped import DEFAULT_MODEL, shipped_models

generate = import_module("zeroq_asr.generate")
quantize = import_module("zeroq_asr.quantize")

QUICK = ["--batches", "1", "--batch-size", "4", "--frames", "300", "--iterations", "20", "--quiet", "--no-logs"]
UTTERANCES = "40"


@pytest.mark.parametrize("name", [name for name in shipped_models() if name != DEFAULT_MODEL])
def test_a_shipped_model_becomes_a_proved_integer_program(name: str, tmp_path: Path) -> None:
    data, program = str(tmp_path / "data"), str(tmp_path / "w8.safetensors")
    assert generate.main(["--model", name, *QUICK, "--output", data]) == 0
    assert quantize.main(["--model", name, "--data", data, "--output", program, "--quiet"]) == 0
    assert verify.main([program, "--limit", "10", "--quiet"]) == 0
    flags = ["--model", name, "--model", program, "--manifest", "clean", "--limit", UTTERANCES, "--quiet"]
    assert evaluate.main([*flags, "--json", str(tmp_path / "e.json")]) == 0
    float_row, integer_row = json.loads((tmp_path / "e.json").read_text())["results"]
    assert (float_row["bits"], integer_row["bits"]) == ("float32", "W8A8")
    assert float_row["wer"] <= 12
    # 240 words: W8A8 would have to change the text of every tenth utterance before this fails by chance
    assert integer_row["decoded_identical"] >= 85
    assert integer_row["difference"] <= 1.5
