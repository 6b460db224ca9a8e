from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest
import soundfile
from support.toy_models import save_noise, save_toy, toy_float_model

from int_kernels import available_backends
from zeroq_asr.config import OUTPUT_DIR, QuantizeConfig
from zeroq_asr.models.shipped import DEFAULT_MODEL
from zeroq_asr.quantize import default_name
from zeroq_asr.transcribe import find_default_model, main

BACKEND = available_backends()[0]


@pytest.fixture
def model(tmp_path: Path) -> str:
    save_noise(tmp_path)
    return str(save_toy(tmp_path / "model"))


def test_prints_path_tab_text(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    names = [str(tmp_path / f"{number}.wav") for number in (3, 0)]
    out = tmp_path / "out.json"
    assert main([*names, "--model", model, "--backend", BACKEND, "--json", str(out)]) == 0
    printed = capsys.readouterr()
    document = json.loads(out.read_text())
    assert printed.out.splitlines() == [f"{row['file']}\t{row['text']}" for row in document["results"]]
    assert [row["file"] for row in document["results"]] == names
    assert document["results"][0]["seconds"] == pytest.approx(0.6)
    assert document["bits"] == "W8A8"
    first, second = printed.err.splitlines()
    assert first == f"model: model (W8A8, {BACKEND})"
    assert re.fullmatch(r"memory: \d+\.\d MB at most(, of it .* weights and tables, .* longest file .*)?", second)
    assert set(document["memory"]) == ({"peak", "model", "utterance"} if BACKEND == "native" else {"peak"})
    assert all(count > 0 for count in document["memory"].values())


def test_a_bad_file_does_not_stop_the_others(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    soundfile.write(tmp_path / "short.wav", np.zeros(100), 16000)
    names = [str(tmp_path / name) for name in ("gone.wav", "0.wav", "bad.wav", "1.wav", "short.wav")]
    assert main([*names, "--model", model, "--backend", BACKEND, "--quiet"]) == 2
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == [names[1], names[3]]
    errors = printed.err.splitlines()
    assert all(line.startswith("error: ") for line in errors)
    assert ["gone.wav" in errors[0], "bad.wav" in errors[1], "short.wav" in errors[2], len(errors)] == [True] * 3 + [3]


def test_needs_a_file(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--model", model])
    assert caught.value.code == 2
    assert "FILE" in capsys.readouterr().err


def test_default_is_what_a_plain_quantize_writes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    monkeypatch.chdir(tmp_path)
    assert find_default_model() == DEFAULT_MODEL
    shipped = replace(toy_float_model(), name=DEFAULT_MODEL)
    save_toy(tmp_path / OUTPUT_DIR / default_name(shipped, QuantizeConfig(bits=6), "synthetic"))
    assert find_default_model() == DEFAULT_MODEL
    path = OUTPUT_DIR / default_name(shipped, QuantizeConfig(), "synthetic")
    save_toy(tmp_path / path)
    assert find_default_model() == str(path)
