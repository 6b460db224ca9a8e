from __future__ import annotations

import json
from pathlib import Path

import pytest
from nemo_files import nemo_bytes
from toy_models import save_toy, toy_integer_model

import zeroq_asr.engines
import zeroq_asr.pipeline.benchmark
from zeroq_asr.analyses.cost import count_costs
from zeroq_asr.benchmark import main, table
from zeroq_asr.engines.native import native_name

QUICK = ["--frames", "100", "--rounds", "2", "--quiet"]


def test_a_quantized_file_is_timed_on_our_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out, plot = save_toy(tmp_path / "m"), tmp_path / "b.json", tmp_path / "b.png"
    command = ["--model", str(path), *QUICK, "--batch", "3", "--threads", "1", "2", "--json", str(out)]
    assert main([*command, "--plot", str(plot)]) == 0
    text, document = capsys.readouterr().out, json.loads(out.read_text())
    model = toy_integer_model()
    assert [(r["engine"], r["threads"]) for r in document["results"]] == [
        (native_name(model), 1),
        (native_name(model), 2),
    ]
    for row in document["results"]:
        assert 0 < row["min_ms"] <= row["median_ms"] and len(row["wall_ms"]) == 2
        assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (1, 1, 1)
        assert row["file_mb"] == path.stat().st_size / 1e6 and 10 < row["rss_mb"] < 1000
        assert row["gmac_per_s"] == pytest.approx(document["macs"] / row["median_ms"] / 1e6)
    assert document["macs"] == 3 * sum(cost.macs for cost in count_costs(model.graph, 100).values())
    assert document["machine"]["cores"] >= 1 and {"load_before", "load_after"} <= set(document["machine"])
    assert table(document["results"]) in text and document["machine"]["cpu"] in text
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_checkpoint_is_timed_in_torch_too_and_absent_peers_take_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeroq_asr.engines, "installed_peers", tuple)
    monkeypatch.setattr(zeroq_asr.pipeline.benchmark, "installed_peers", tuple)
    path, out = tmp_path / "small.nemo", tmp_path / "b.json"
    path.write_bytes(nemo_bytes())
    assert main(["--model", str(path), *QUICK, "--single-core", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["results"]
    assert [row["engine"].split("-", 1)[1] for row in rows[1:]] == ["float32", "float32-2d"]
    assert rows[0]["engine"].startswith("zeroq-") and all(row["threads"] == 1 for row in rows)
    assert capsys.readouterr().err == "without onnxruntime, openvino: pip install -e '.[peers]' adds them\n"


def test_a_busy_machine_is_told() -> None:
    numbers = ("median_ms", "min_ms", "ratio", "ratio_low", "ratio_high", "gmac_per_s", "cpu_ms", "rss_mb", "file_mb")
    row: dict[str, object] = {"engine": "e", "threads": 2, **dict.fromkeys(numbers, 1.0)}
    assert "busy" in table([row | {"cpu_per_wall": 2.0}, row | {"cpu_per_wall": 0.5}])
    assert "busy" not in table([row | {"cpu_per_wall": 1.0}])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "no-such.nemo"], "no such file"),
        (["--frames", "0"], "--frames: needed 1"),
        (["--rounds", "0"], "--rounds: needed 1"),
        (["--batch", "-1"], "--batch: needed 1"),
        (["--threads", "0"], "--threads: needed 1"),
        (["--single-core", "--threads", "2"], "--single-core: goes with --threads 1"),
    ],
)
def test_errors_are_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--quiet"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and words in error


def test_a_file_of_another_kind_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "m"
    data.write_bytes(b"no model at all")
    assert main(["--model", str(data), "--quiet"]) == 2
    assert str(data) in capsys.readouterr().err
