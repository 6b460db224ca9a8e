from __future__ import annotations

import json
from pathlib import Path

import pytest
from toy_models import save_noise, save_toy

from int_kernels import available_backends
from zeroq_asr.errors import FileError
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
    assert printed.err == f"model: model (W8A8, {BACKEND})\n"


def test_a_bad_file_does_not_stop_the_others(model: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "bad.wav").write_bytes(b"no audio")
    names = [str(tmp_path / name) for name in ("gone.wav", "0.wav", "bad.wav", "1.wav")]
    assert main([*names, "--model", model, "--backend", BACKEND, "--quiet"]) == 2
    printed = capsys.readouterr()
    assert [line.split("\t")[0] for line in printed.out.splitlines()] == [names[1], names[3]]
    errors = printed.err.splitlines()
    assert len(errors) == 2 and all(line.startswith("error: ") for line in errors)
    assert "gone.wav" in errors[0] and "bad.wav" in errors[1]


def test_needs_a_file(model: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["--model", model])
    assert caught.value.code == 2
    assert "FILE" in capsys.readouterr().err


def test_default_is_the_only_quantized_model_in_the_output_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zeroq_asr.zoo import DEFAULT_MODEL

    monkeypatch.chdir(tmp_path)
    assert find_default_model() == DEFAULT_MODEL
    folder = tmp_path / "zeroq-out"
    folder.mkdir()
    (folder / "notes.safetensors").write_bytes(b"something else")
    assert find_default_model() == DEFAULT_MODEL
    save_toy(folder / "a.safetensors")
    assert find_default_model() == "zeroq-out/a.safetensors"
    save_toy(folder / "b.safetensors")
    with pytest.raises(FileError, match="choose with --model"):
        find_default_model()
