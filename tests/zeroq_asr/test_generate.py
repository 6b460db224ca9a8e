"""The command line of generate on the toy network: what it prints, writes, refuses, and how it is interrupted."""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib import import_module
from pathlib import Path

import pytest
from support.toy_models import save_noise, toy_float_model

import synth
import zeroq_asr.models.resolve
import zeroq_asr.pipelines.generate
from zeroq_asr.config import GenerateConfig
from zeroq_asr.pipelines.generate import read_data

command = import_module("zeroq_asr.generate")

SMALL = ["--batches", "2", "--batch-size", "2", "--frames", "64", "--iterations", "3", "--threads", "1"]
Run = Callable[..., int]


@pytest.fixture
def toy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Run the command in an empty folder, where every --model is the toy."""
    monkeypatch.setattr(zeroq_asr.models.resolve, "load_float_model", lambda reference: toy_float_model())
    monkeypatch.chdir(tmp_path)
    return lambda *words: command.main([*SMALL, *words])


def one_line(capsys: pytest.CaptureFixture[str]) -> str:
    lines = [line for line in capsys.readouterr().err.splitlines() if not line.startswith("generate: ")]
    assert len(lines) == 1, lines
    return lines[0]


def test_without_flags_it_writes_into_the_default_folder(toy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    assert toy() == 0
    (file,) = Path("zeroq-out/synthetic").iterdir()
    assert [batch.mel.shape for batch in read_data(file).batches] == [(2, 6, 64)] * 2
    said = capsys.readouterr()
    assert str(file) in said.out and "tensorboard --logdir zeroq-out/tensorboard/toy-" in said.out
    assert "2 batches of 2 x 6 x 64, preset fast, seed 0" in said.out
    assert "generate: 8/8" in said.err, "plain lines where there is no terminal"
    runs = {path.parent.name for path in Path("zeroq-out/tensorboard").glob("*/*/events.*")}
    assert runs == {"batch-00", "batch-01", "reference"}


def test_json_picture_and_reference(toy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    Path("speech").mkdir()
    manifest = save_noise(Path("speech"), 1)
    audio = next(Path("speech").rglob("*.wav"))
    for number, source in enumerate((manifest, audio)):
        words = ["--json", f"{number}.json", "--picture", f"{number}.png", "--reference", str(source)]
        assert toy("--quiet", "--no-logs", "--output", "data", "--seed", "5", *words) == 0
    assert capsys.readouterr().err == ""
    summary = json.loads(Path("0.json").read_text())
    assert summary["output"] == "data" and summary["logdir"] is None and summary["settings"]["seed"] == 5
    assert len(summary["loss_end"]) == 2 and summary["loss_end"][0] < summary["loss_start"][0]
    assert set(summary["batchnorms"]) == set(read_data(Path("data")).batchnorms)
    assert Path("0.png").read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert not Path("zeroq-out").exists()


def test_flags_change_the_preset_and_nothing_else(toy: Run) -> None:
    parse = command.build_parser().parse_args
    assert command.config_of(parse([])) == GenerateConfig.of_preset("fast")
    assert command.config_of(parse(["--preset", "paper"])) == GenerateConfig.of_preset("paper")
    words = ["--loss", "w2", "--init", "smooth", "--lr", "0.1", "0.2", "--iterations", "7", "--no-normalize"]
    changed = command.config_of(parse([*words, "--schedule", "constant", "--early-stop", "0.01", "--seed", "4"]))
    assert (changed.loss, changed.init, changed.lr, changed.iterations) == ("w2", "smooth", (0.1, 0.2), (7,))
    assert not changed.normalize and changed.schedule == "constant" and changed.early_stop == 0.01
    assert changed.seed == 4 and changed.batches == GenerateConfig.of_preset("fast").batches


def test_the_paper_preset_is_the_paper() -> None:
    paper = GenerateConfig.of_preset("paper")
    assert (paper.loss, paper.init, paper.batches, paper.batch_size, paper.frames) == ("kl", "uniform", 20, 8, 500)
    assert paper.lr == (0.03, 0.04, 0.05, 0.06) and paper.iterations == (200, 250) and paper.betas == (0.9, 0.999)
    assert not paper.normalize and paper.schedule == "constant" and paper.early_stop == 0


def test_fast_takes_less_than_a_tenth_of_the_paper() -> None:
    def frames(name: str) -> float:
        config = GenerateConfig.of_preset(name)
        return sum(config.iterations) / len(config.iterations) * config.batches * config.batch_size * config.frames

    assert frames("fast") <= frames("paper") / 10


def test_several_lengths_and_priors(toy: Run, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["--frames", "40", "64", "--smoothness", "0.5", "--diversity", "1", "--picture", "p.png"]
    assert toy(*words, "--no-logs", "--output", "data") == 0
    assert "2 x 6 x 40/64" in capsys.readouterr().out
    data = read_data(Path("data"))
    assert [batch.mel.shape[2] for batch in data.batches] == [40, 64]
    assert (data.settings.smoothness, data.settings.diversity) == (0.5, 1)
    assert all(batch.losses[-1] > batch.batchnorm_losses_end.sum() for batch in data.batches)


def test_words_are_those_of_synth() -> None:
    assert command.LOSSES == synth.LOSSES
    assert command.INITS == synth.INITS
    assert command.SCHEDULES == synth.SCHEDULES


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--batches", "0"], "batches 1 to 10000"),
        (["--frames", "5"], "frames from 8"),
        (["--batch-size", "-1"], "batch_size from 1"),
        (["--iterations", "-4"], "iterations 0 to"),
        (["--lr", "nan"], "lr above 0"),
        (["--lr", "0.1", "-1"], "lr above 0"),
        (["--seed", "-1"], "--seed: expected 0 to"),
        (["--early-stop", "2"], "early_stop 0 to below 1"),
        (["--threads", "0"], "--threads: expected 1 to 256"),
        (["--device", "quantum"], "--device: expected a device"),
        (["--reference", "nothing.wav"], "nothing.wav"),
        (["--reference", "bad.json"], "bad.json, line 1"),
        (["--output", "."], "expected the name of a file"),
        (["--output", "bad.json/data"], "could not be written"),
        (["--picture", "."], "expected the name of a file"),
        (["--picture", "bad.json/p.png"], "could not be written"),
        (["--json", "."], "expected the name of a file"),
        (["--logdir", "bad.json"], "bad.json"),
        (["--lr", "1e38"], "lr above 0"),
    ],
)
def test_bad_input_is_one_line_and_exit_2(
    toy: Run, capsys: pytest.CaptureFixture[str], words: list[str], message: str
) -> None:
    Path("bad.json").write_text("this is no JSON\n")
    logs = [] if "--logdir" in words else ["--no-logs"]
    assert toy("--quiet", *logs, *words) == 2
    line = one_line(capsys)
    assert line.startswith("error: ") and message in line


@pytest.mark.parametrize("words", [["--preset", "best"], ["--loss", "l2"], ["--frames", "x"], ["--lr"], ["--nonsense"]])
def test_what_the_parser_refuses_is_exit_2(toy: Run, words: list[str]) -> None:
    with pytest.raises(SystemExit) as left:
        toy(*words)
    assert left.value.code == 2


def test_a_model_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert command.main(["--model", str(tmp_path / "none.nemo")]) == 2
    assert "none.nemo" in one_line(capsys)


def test_interrupt_keeps_finished_batches_and_resume_ends_with_the_same_bytes(
    toy: Run, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert toy("--quiet", "--no-logs", "--output", "whole") == 0
    original = zeroq_asr.pipelines.generate.generate

    def interrupted(*arguments: object, **named: object) -> object:
        tell = named["on_record"]

        def stop(record: synth.StepRecord) -> None:
            tell(record)  # type: ignore[operator]
            if record.batch == 1 and record.step == 2:
                raise KeyboardInterrupt

        return original(*arguments, **{**named, "on_record": stop})  # type: ignore[arg-type]

    monkeypatch.setattr(zeroq_asr.pipelines.generate, "generate", interrupted)
    assert toy("--quiet", "--no-logs", "--output", "data") == 130
    assert "--resume" in capsys.readouterr().err
    assert not Path("data").exists() and len(read_data(Path("data.partial")).batches) == 1
    monkeypatch.setattr(zeroq_asr.pipelines.generate, "generate", original)
    assert toy("--quiet", "--no-logs", "--output", "data", "--resume") == 0
    assert "1 batches were there already" in capsys.readouterr().out
    assert Path("data").read_bytes() == Path("whole").read_bytes()


def test_resume_with_nothing_to_resume_just_runs(toy: Run) -> None:
    assert toy("--quiet", "--no-logs", "--resume", "--output", "data") == 0
    assert toy("--quiet", "--no-logs", "--resume", "--output", "data") == 0
