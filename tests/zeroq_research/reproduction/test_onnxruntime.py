"""ONNX Runtime's int8 forms of a toy model: the float file gives our texts, the others differ in their ranges."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from support.nemo_files import nemo_bytes
from support.small_bench import small_bench
from support.toy_models import save_noise

from zeroq_asr.exporters import onnx_calibration as engine
from zeroq_research.cli.reproduce import main
from zeroq_research.engines import installed_peers
from zeroq_research.reproduction import onnxruntime as part
from zeroq_research.reproduction.onnxruntime import onnxruntime_table

COLUMNS = [
    *("model", "manifest", "bits", "calibration", "ranges", "runs", "utterances", "words"),
    *("wer", "wer_deviation", "wer_runs", "wer_float", "difference", "difference_low", "difference_high"),
    *("decoded_identical", "size_bytes"),
]


@pytest.fixture(scope="module", autouse=True)
def small() -> Iterator[None]:
    with small_bench():
        yield


@pytest.fixture
def command(tmp_path: Path) -> list[str]:
    path = tmp_path / "toy.nemo"
    path.write_bytes(nemo_bytes())
    manifest = str(save_noise(tmp_path, 4))
    flags = ["--model", str(path), "--manifest", manifest, "--real", manifest, "--seeds", "2", "--threads", "1"]
    return ["onnxruntime", *flags, "--quiet", "--cells", str(tmp_path / "cache"), "--output", str(tmp_path / "out")]


@pytest.mark.skipif("onnxruntime" not in installed_peers(), reason="needs the extra peers")
def test_every_calibration_is_run_with_both_ranges(
    command: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(command) == 0
    rows = json.loads((tmp_path / "out" / "onnxruntime.json").read_text())["results"]
    assert [(row["bits"], row["calibration"], row["ranges"], row["runs"]) for row in rows] == [
        ("float32", "-", "-", 1),
        *(("int8", data, ranges, 2) for data in ("synthetic", "random") for ranges in ("ours", "min-max")),
        *(("int8", "real", ranges, 1) for ranges in ("ours", "min-max")),
    ]
    assert all(list(row) == COLUMNS for row in rows)
    assert rows[0]["decoded_identical"] == 100 and rows[0]["wer"] == rows[0]["wer_float"]
    assert all(0 < row["size_bytes"] != rows[0]["size_bytes"] for row in rows[1:])
    printed, page = capsys.readouterr().out, (tmp_path / "out" / "report.html").read_text()
    assert "int8 synthetic" in printed and "int8 synthetic" in page
    before = {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()}
    monkeypatch.setattr(part, "quantize_onnx", None)  # a second run computes nothing
    monkeypatch.setattr(engine, "OnnxTokens", None)
    assert main(command) == 0
    assert {path.name: path.read_bytes() for path in (tmp_path / "out").iterdir()} == before


def test_without_the_extra_the_error_is_one_line(
    command: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine, "find_spec", lambda package: None)
    assert main(command) == 2
    error = capsys.readouterr().err
    assert "pip install 'zeroq-asr[peers]'" in error and len(error.splitlines()) == 1


def test_the_table_shows_the_rows() -> None:
    row = {"model": "m", "manifest": "clean", "calibration": "-", "ranges": "-", "wer": 4.0, "decoded_identical": 100.0}
    low = {"difference": 0.25, "difference_low": 0.1, "difference_high": 0.4, "decoded_identical": 90.0}
    high = {"difference": 1.0, "difference_low": -0.1, "difference_high": 2.0, "decoded_identical": 80.0}
    ours = {**row, "calibration": "synthetic", "ranges": "ours", "wer": 4.25, "wer_deviation": 0.5, **low}
    theirs = {**row, "calibration": "synthetic", "ranges": "min-max", "wer": 5.0, "wer_deviation": None, **high}
    table = onnxruntime_table([row, ours, theirs])
    assert table.rows == (
        ("m", "clean", "float32", "4.00", "", "100.0", "", "", ""),
        (
            *("m", "clean", "int8 synthetic", "4.25 ± 0.50", "+0.25 [+0.10, +0.40] *", "90.0"),
            *("5.00", "+1.00 [-0.10, +2.00]", "80.0"),
        ),
    )
    assert table.strong == {1} and len(table.records) == 3
