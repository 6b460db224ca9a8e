"""The table on a toy model: cached results survive a kill, the output does not depend on it, all formats agree."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nemo_files import nemo_bytes
from support.small_bench import small_bench
from support.toy_models import save_noise

from zeroq_research.cli import table as verb
from zeroq_research.cli.flags import chosen_models
from zeroq_research.cli.table import main

ROOT = Path(__file__).parents[3]
COLUMNS = [
    *("model", "manifest", "bits", "calibration", "runs", "utterances", "words", "hypothesis_words"),
    *("wer", "wer_deviation", "wer_min", "wer_max", "wer_runs", "wer_low", "wer_high"),
    *("difference", "difference_low", "difference_high", "decoded_identical", "cer"),
    *("size_bytes", "macs", "bops", "product_bops"),
]


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_bench():
        yield


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[str, str]:
    """A model file and a manifest."""
    folder = tmp_path_factory.mktemp("table")
    model = folder / "toy.nemo"
    model.write_bytes(nemo_bytes())
    return str(model), str(save_noise(folder, 4))


def table_flags(files: tuple[str, str], cache: Path, *more: str) -> list[str]:
    model, manifest = files
    options = ["--model", model, "--manifest", manifest, "--real", manifest, "--seeds", "2", "--bits", "8", "4"]
    return [*options, "--cells", str(cache), "--threads", "1", "--quiet", *more]


def content(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def finished(files: tuple[str, str], tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The cached results and the tables of a run that was not interrupted."""
    folder = tmp_path_factory.mktemp("finished")
    assert main(table_flags(files, folder / "cache", "--output", str(folder / "out"))) == 0
    return folder / "cache", folder / "out"


def test_all_formats_agree(finished: tuple[Path, Path]) -> None:
    cache, out = finished
    rows = json.loads((out / "table.json").read_text())["results"]
    assert [(row["bits"], row["calibration"], row["runs"]) for row in rows] == [
        ("float32", "-", 1),
        ("W8A8", "synthetic", 2),
        ("W8A8", "random", 2),
        ("W8A8", "real", 1),
        ("W4A8", "synthetic", 2),
        ("W4A8", "random", 2),
        ("W4A8", "real", 1),
    ]
    assert rows[0]["bops"] == 1024 * rows[0]["macs"] and rows[1]["bops"] == 64 * rows[1]["macs"]
    assert rows[4]["size_bytes"] < rows[1]["size_bytes"]
    table = list(csv.DictReader((out / "table.csv").read_text().splitlines()))
    assert all(list(row) == COLUMNS for row in rows)
    assert list(table[0]) == [name for name in COLUMNS if name != "wer_runs"]
    markdown = (out / "table.md").read_text()
    for row, line in zip(rows, table, strict=True):
        assert float(line["wer"]) == row["wer"] and line["calibration"] == row["calibration"]
        assert f"{row['wer']:.2f}" in markdown and f"{row['size_bytes']:,}" in markdown
    # 1 float model, 2 x 2 synthetic, 2 x 2 random, 2 real; and the data of two seeds
    assert len(list(cache.glob("score-*.json"))) == 11 and len(list(cache.glob("synthetic-*.safetensors"))) == 2


def test_a_second_run_computes_nothing(
    files: tuple[str, str], finished: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from zeroq_research.experiments import ExperimentRunner

    def refuse(*_: object) -> None:
        raise AssertionError("computed again")

    monkeypatch.setattr(ExperimentRunner, "_compute", refuse)
    assert main(table_flags(files, finished[0], "--output", str(tmp_path))) == 0
    assert content(tmp_path) == content(finished[1])


def test_an_interrupted_run_resumes_and_ends_with_the_same_bytes(
    files: tuple[str, str], finished: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from zeroq_asr.cli import Progress

    notes: list[str] = []
    original = Progress.advance

    def interrupt(self: Progress, note: str = "") -> None:
        notes.append(note)
        if len(notes) in (3, 9, 14):  # during synthesis, then during scoring
            raise KeyboardInterrupt
        original(self, note)

    monkeypatch.setattr(Progress, "advance", interrupt)
    run = table_flags(files, tmp_path / "cache", "--output", str(tmp_path / "out"))
    assert [main(run) for _ in range(4)] == [130, 130, 130, 0]
    assert content(tmp_path / "out") == content(finished[1])
    assert content(tmp_path / "cache") == content(finished[0])


def test_a_killed_process_leaves_results_that_the_next_one_uses(
    files: tuple[str, str], finished: tuple[Path, Path], tmp_path: Path
) -> None:
    run = (
        "from support.small_bench import small_bench\nfrom zeroq_research.cli.table import main\n"
        "with small_bench(): main({})"
    )
    command = [sys.executable, "-c", run.format(table_flags(files, tmp_path / "cache"))]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT / "tests")}
    process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not list(tmp_path.glob("cache/score-*.json")) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert list(tmp_path.glob("cache/score-*.json"))
    assert main(table_flags(files, tmp_path / "cache", "--output", str(tmp_path / "out"))) == 0
    assert content(tmp_path / "out") == content(finished[1])


def test_methods_get_rows_of_their_own(
    files: tuple[str, str], finished: tuple[Path, Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    both = ("--methods", "none", "--methods", "equalization", "bias-correction", "--methods", "squant")
    run = table_flags(files, finished[0], "--calibrations", "synthetic", "--bits", "4", "--seeds", "1", *both)
    assert main([*run, "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())["results"]
    names = ["float32", "W4A8 + plain", "W4A8 + equalization + bias-correction", "W4A8 + squant"]
    assert [row["bits"] for row in rows] == names
    programs = {json.loads(path.read_text())["result"]["program"] for path in finished[0].glob("score-*.json")}
    assert len(programs) == 14, "11 programs before, and one of each new row"
    assert main(table_flags(files, tmp_path, "--methods", "none", "squant")) == 2
    assert "expected either none or methods" in capsys.readouterr().err


def test_ranges_get_rows_of_their_own_and_analytic_only_one(files: tuple[str, str], tmp_path: Path) -> None:
    ranges = [f"--ranges={name}" for name in ("minmax", "percentile", "mse", "kl")]
    flags = [*ranges, "--percentile=90", "--percentile=99.99", "--calibrations", "synthetic", "analytic"]
    run = table_flags(files, tmp_path / "cache", *flags, "--bits", "8", "--act-bits", "5")
    assert main([*run, "--json", str(tmp_path / "rows.json")]) == 0
    rows = json.loads((tmp_path / "rows.json").read_text())["results"]
    assert [(row["bits"], row["calibration"], row["runs"]) for row in rows] == [
        ("float32", "-", 1),
        ("W8A5 + minmax", "synthetic", 2),
        ("W8A5", "analytic", 1),
        ("W8A5 + percentile 90", "synthetic", 2),
        ("W8A5", "synthetic", 2),
        ("W8A5 + mse", "synthetic", 2),
        ("W8A5 + kl", "synthetic", 2),
    ]
    programs = [json.loads(path.read_text())["result"]["program"] for path in tmp_path.glob("cache/score-*.json")]
    assert len(set(programs)) == len(programs) == 12, "no two ways give the same program"


def test_all_stands_for_every_shipped_model() -> None:
    from zeroq_asr.models.shipped import DEFAULT_MODEL, shipped_models

    assert chosen_models(None) == (DEFAULT_MODEL,)
    assert chosen_models(["x.nemo", "all", "x.nemo"]) == ("x.nemo", *shipped_models())


def test_bad_flags_are_refused_in_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert verb.main(["--seeds", "0"]) == 2
    assert "--seeds" in capsys.readouterr().err
    assert verb.main(["--model", "no-such.nemo", "--limit", "1"]) == 2
    assert "no-such.nemo" in capsys.readouterr().err


def test_models_that_share_ranges_equal_models_made_alone(files: tuple[str, str], tmp_path: Path) -> None:
    """Ranges are measured once for all bits of weights; a model made alone has the same bytes."""
    from zeroq_asr.config import QuantizeConfig
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.pipelines.evaluate import read_test_set
    from zeroq_research.experiments import ExperimentConfig, ExperimentRunner, ExperimentSettings
    from zeroq_research.result_cache import ResultCache

    noise = read_test_set(files[1])
    settings = ExperimentSettings("fast", noise, 1, "cpu")
    experiments = [
        ExperimentConfig(QuantizeConfig(bits=bits, act_bits=act_bits, range_method="mse"), "random", seed)
        for seed in (0, 1)
        for bits, act_bits in ((8, 8), (4, 8), (4, 5))
    ]

    def made(experiments: list[ExperimentConfig], folder: Path) -> list[str]:
        runner = ExperimentRunner(ResultCache(folder), load_float_model(files[0]), settings)
        return [runner.score(experiment, noise)["program"] for experiment in experiments]

    together = made(experiments, tmp_path / "together")
    assert together == [made([experiment], tmp_path / str(n))[0] for n, experiment in enumerate(experiments)]
    assert len(set(together)) == 6


def test_several_models_get_an_overview(
    files: tuple[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    twin = tmp_path / "twin.nemo"
    twin.write_bytes(Path(files[0]).read_bytes())
    flags = table_flags(
        files, tmp_path / "cache", "--model", str(twin), "--calibrations", "random", "--output", str(tmp_path)
    )
    assert main(flags) == 0
    overview = capsys.readouterr().out.split("overview: ")[1].splitlines()
    assert overview[1].split() == ["model", "set", "float32", "W8A8", "random", "W4A8", "random"]
    records = json.loads((tmp_path / "table.json").read_text())["results"]
    expected = [f"{r['difference']:+.2f}" for r in records if r["model"] == "twin" and r["bits"] != "float32"]
    assert next(line for line in overview if line.startswith("twin")).split()[-2:] == expected
    assert (tmp_path / "table.md").read_text().startswith("### overview")
