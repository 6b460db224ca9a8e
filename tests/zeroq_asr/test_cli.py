"""The command line entry point: exit codes, one-line errors, progress."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from importlib.util import find_spec
from pathlib import Path

import pytest

from eval.errors import EvalError
from int_kernels import KernelError
from synth import SynthError
from zeroq_asr import cli
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import ConfigError, FileError


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (FileError("x: no such file"), 2, "error: x: no such file\n"),
        (SynthError("bad"), 2, "error: bad\n"),
        (EvalError("bad"), 2, "error: bad\n"),
        (KernelError("bad"), 2, "error: bad\n"),
        (OSError(28, "No space left on device", "out"), 2, "error: out: No space left on device\n"),
        (KeyboardInterrupt(), 130, "interrupted\n"),
    ],
)
def test_errors_become_one_line(error: BaseException, code: int, text: str, capsys: pytest.CaptureFixture[str]) -> None:
    def function(arguments: argparse.Namespace) -> int:
        raise error

    assert cli.run(function, argparse.ArgumentParser(), []) == code
    assert capsys.readouterr().err == text


@pytest.mark.parametrize(
    ("words", "named"),
    [(["--seed", "-1"], "--seed: expected 0 to"), (["--threads", "0"], "--threads: expected 1 to 256, got 0")],
)
def test_numbers_that_no_verb_can_use_are_refused_first(
    words: list[str], named: str, capsys: pytest.CaptureFixture[str]
) -> None:
    parser = argparse.ArgumentParser()
    cli.add_common_flags(parser, "seed", "threads", seed=0, threads=1)
    assert cli.run(lambda _: pytest.fail("was called"), parser, words) == 2
    assert named in capsys.readouterr().err
    assert cli.run(lambda _: 0, parser, []) == 0


@pytest.mark.parametrize("names", [("--observer", "--weight-methods"), ("--ranges", "--methods")])
def test_former_names_of_flags_still_work(names: tuple[str, str]) -> None:
    parser = argparse.ArgumentParser()
    cli.add_quantize_flags(parser)
    observer, methods = names
    config = cli.chosen_config(parser.parse_args([observer, "mse", methods, "squant"]), QuantizeConfig())
    assert (config.range_method, config.methods) == ("mse", ("squant",))
    assert cli.chosen_config(parser.parse_args([]), QuantizeConfig()) == QuantizeConfig()


def test_a_percentile_that_no_ranges_would_use_is_refused() -> None:
    cli.check_percentile(["mse", "percentile"], [99.0])
    cli.check_percentile(["mse"], [QuantizeConfig.percentile])
    with pytest.raises(ConfigError, match="expected --observer percentile, got 99 with --observer mse kl"):
        cli.check_percentile(["mse", "kl"], [99.0])


def test_our_own_defects_keep_their_traceback() -> None:
    def function(arguments: argparse.Namespace) -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cli.run(function, argparse.ArgumentParser(), [])


def test_progress_speaks_lines_where_there_is_no_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    with cli.progress(2, "work") as bar:
        bar.advance()
        bar.advance("note")
    assert capsys.readouterr().err.endswith("work: 2/2, 0 s left note\n")
    with cli.progress(1, "work", quiet=True) as bar:
        bar.advance()
    assert capsys.readouterr().err == ""


def test_every_command_line_is_a_verb() -> None:
    modules = Path(cli.__file__).parent.glob("*.py")
    runnable = {path.stem for path in modules if 'if __name__ == "__main__"' in path.read_text(encoding="utf-8")}
    assert runnable == set(cli.VERBS)
    for module in cli.VERBS.values():
        assert find_spec(module) is not None


def test_the_console_script_knows_its_verbs(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main([]) == 2
    assert cli.main(["--help"]) == 0
    assert cli.main(["fly"]) == 2
    assert "expected one of" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        cli.main(["quantize", "--help"])
    assert stop.value.code == 0


def test_help_answers_within_a_second() -> None:
    best = float("inf")
    for _ in range(3):  # the best of three: another process may have the core
        started = time.monotonic()
        done = subprocess.run(
            [sys.executable, "-m", "zeroq_asr.quantize", "--help"], capture_output=True, text=True, check=True
        )
        best = min(best, time.monotonic() - started)
    assert "--bits" in done.stdout
    assert best < 1.0


@pytest.mark.parametrize(
    "flags",
    [
        ["--bits", "9"],
        ["--act-bits", "1"],
        ["--bits", "six"],
        ["--percentile", "40", "--ranges", "percentile"],
        ["--percentile", "99", "--ranges", "mse"],
        ["--calibration", "random", "--seed", "-1"],
        ["--output", "."],
        ["--json", "."],
        ["--model", "no-such-file.nemo"],
        ["--calibration", "no-such-manifest.json"],
        ["--calibration", "random", "--data", "x"],
        ["--data", "no-such-data.safetensors"],
        ["--seed", "-1"],
        ["--device", "warp-drive"],
    ],
)
def test_quantize_refuses_bad_input_in_one_line(flags: list[str], tmp_path: object) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "zeroq_asr.quantize", *flags],
        capture_output=True,
        text=True,
        check=False,
        cwd=str(tmp_path),
    )
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert "error:" in done.stderr
