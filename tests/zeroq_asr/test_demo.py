"""The demo runs verbs that exist, and `transcribe` by itself, so that the memory it prints is its own."""

from __future__ import annotations

import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from support.toy_models import save_noise, save_toy

from zeroq_asr import demo
from zeroq_asr.cli import VERBS


def test_every_command_of_the_demo_parses() -> None:
    for verb, *flags in demo.commands():
        importlib.import_module(VERBS[verb]).build_parser().parse_args(flags)


def test_a_verb_alone_is_a_process_without_torch(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    save_noise(tmp_path)
    model = save_toy(tmp_path / "toy")
    assert demo.run_alone("transcribe", ["--model", str(model), str(tmp_path / "0.wav")]) == 0
    printed = capfd.readouterr()
    assert printed.out.startswith(f"{tmp_path / '0.wav'}\t")
    assert float(printed.err.split("memory: ")[1].split(" MB")[0]) < 120  # torch alone takes more than 300
    assert demo.run_alone("transcribe", ["--model", str(model), str(tmp_path / "gone.wav")]) == 2


def test_an_error_ends_the_demo(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    ran: list[str] = []
    codes = iter([0, 1])

    def run_verb(verb: str, flags: object) -> int:
        ran.append(verb)
        return next(codes, 0)

    def run_alone(verb: str, flags: object) -> int:
        ran.append(f"alone {verb}")
        return 0

    monkeypatch.setattr(demo, "run_verb", run_verb)
    monkeypatch.setattr(demo, "run_alone", run_alone)
    assert demo.main([]) == 1
    assert ran == ["generate", "quantize"] and "$ python -m zeroq_asr.quantize" in capsys.readouterr().out
    ran.clear()
    assert demo.main([]) == 0
    assert "alone transcribe" in ran and ran[-1] == "table"


def test_the_alias_of_a_research_verb_runs_it() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zeroq_asr.table", "--help"], capture_output=True, text=True, check=True
    )
    assert "--bits" in done.stdout
