from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from support.nemo_files import nemo_bytes
from support.toy import toy_mel
from support.toy_models import save_noise, save_toy, toy_float_model, toy_integer_model

import zeroq_research.benchmark.run
import zeroq_research.engines
from eval.latency import LatencyError, TimedEngine, Timing, time_engines
from int_kernels import available_kernels
from zeroq_asr.analyses.cost import count_costs
from zeroq_asr.artifact import save_model
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.pipelines.quantize import quantize_model
from zeroq_research.cli.benchmark import main
from zeroq_research.engines.native import kernels_in_use
from zeroq_research.report.latency_table import latency_table

QUICK = ["--frames", "100", "--rounds", "2", "--quiet"]


def test_a_quantized_file_is_timed_on_our_kernels(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, out, plot = save_toy(tmp_path / "m"), tmp_path / "b.json", tmp_path / "b.png"
    command = ["--model", str(path), *QUICK, "--batch", "3", "--threads", "1", "2", "--json", str(out)]
    assert main([*command, "--plot", str(plot)]) == 0
    text, document = capsys.readouterr().out, json.loads(out.read_text())
    model, ours = toy_integer_model(), f"zeroq-{kernels_in_use()}"
    assert [(r["engine"], r["threads"]) for r in document["results"]] == [(ours, 1), (ours, 2)]
    for row in document["results"]:
        assert 0 < row["min_ms"] <= row["median_ms"] and len(row["wall_ms"]) == 2
        assert (row["ratio"], row["ratio_low"], row["ratio_high"]) == (1, 1, 1)
        assert row["file_mb"] == path.stat().st_size / 1e6 and 10 < row["rss_mb"] < 1000
        assert row["gmac_per_s"] == pytest.approx(document["macs"] / row["median_ms"] / 1e6)
        assert row["per_utterance_ms"] == row["median_ms"] / 3 and row["rtf"] == row["median_ms"] / 3000
        assert 0 < row["limit_share"] < 1 and 0 < row["limit_share_cpu"] < 1 and row["limit"] == kernels_in_use()
        assert row["model_mb"] > row["packed_mb"] and row["values_mb"] > 0
    assert [(limit["kernels"], limit["threads"]) for limit in document["limits"]] == [
        (kernels_in_use(), 1),
        (kernels_in_use(), 2),
    ]
    assert all(limit["gmac_per_s"] > 0.01 for limit in document["limits"])
    assert document["macs"] == 3 * sum(cost.macs for cost in count_costs(model.program, 100).values())
    assert document["machine"]["cores"] >= 1 and {"load_before", "load_after"} <= set(document["machine"])
    assert latency_table(document["results"], 3) in text and "ms each" in text and document["machine"]["cpu"] in text
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_a_file_with_bits_for_each_layer_is_not_named_after_one_of_them(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = QuantizeConfig(bits=6, layer_bits=(("c1.bn", 3), ("logits", 8)))
    model = quantize_model(toy_float_model(), [toy_mel(1, 4, 200)], "noise", config).model
    path, out = tmp_path / "m", tmp_path / "b.json"
    save_model(model, path)
    assert main(["--model", str(path), *QUICK, "--threads", "1", "--profile", "--json", str(out)]) == 0
    text, document = capsys.readouterr().out, json.loads(out.read_text())
    (row,), (profile,) = document["results"], document["profiles"]
    assert row["engine"] == profile["engine"] == f"zeroq-{kernels_in_use()}-mixed"
    assert row["bits"] == pytest.approx(sum(b * n for b, n in model.weights.items()) / sum(model.weights.values()))
    (memory,) = [line for line in text.splitlines() if line.startswith(row["engine"]) and len(line.split()) == 7]
    assert memory.split()[1] == f"{row['bits']:.1f}"


def test_a_checkpoint_is_timed_in_torch_too_and_absent_peers_take_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeroq_research.engines, "installed_peers", tuple)
    monkeypatch.setattr(zeroq_research.benchmark.run, "installed_peers", tuple)
    path, out = tmp_path / "small.nemo", tmp_path / "b.json"
    path.write_bytes(nemo_bytes())
    assert main(["--model", str(path), *QUICK, "--single-core", "--json", str(out)]) == 0
    rows = json.loads(out.read_text())["results"]
    assert [row["engine"].split("-", 1)[1] for row in rows[1:]] == ["float32", "float32-2d"]
    assert rows[0]["engine"].startswith("zeroq-") and all(row["threads"] == 1 for row in rows)
    assert capsys.readouterr().err == "without onnxruntime, openvino: pip install -e '.[peers]' adds them\n"


def test_our_kernels_and_weight_bits_are_listed_with_their_layers(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeroq_research.benchmark.run, "installed_peers", tuple)
    monkeypatch.setattr(zeroq_research.benchmark.run, "torch_engines", lambda *_: [])
    path, out = tmp_path / "small.nemo", tmp_path / "b.json"
    path.write_bytes(nemo_bytes())
    tables = tuple(dict.fromkeys((available_kernels()[0], "c")))
    command = ["--model", str(path), *QUICK, "--threads", "1", "--bits", "8", "4", "--kernels", *tables]
    assert main([*command, "--profile", "--json", str(out)]) == 0
    document, text = json.loads(out.read_text()), capsys.readouterr().out
    ours = [f"zeroq-{table}{suffix}" for suffix in ("", "-w4") for table in tables]
    assert [row["engine"] for row in document["results"] if row["bits"]] == ours
    eight, four = document["results"][0], document["results"][len(tables)]
    assert four["file_mb"] < eight["file_mb"] and (four["bits"], eight["bits"]) == (4, 8)
    assert "memory of" in text
    assert [profile["engine"] for profile in document["profiles"]] == ours
    for profile in document["profiles"]:
        assert sum(step["macs"] for step in profile["steps"]) == document["macs"]
        assert sum(shape["count"] for shape in profile["shapes"]) == len(profile["steps"])
        assert sum(shape["share"] for shape in profile["shapes"]) == pytest.approx(1)
        for step in profile["steps"]:
            assert step["gop_per_s"] == 2 * step["gmac_per_s"] == pytest.approx(2 * step["macs"] / step["ms"] / 1e6)
        assert f"{profile['engine']}, layer by layer" in text


def test_speech_is_timed_at_its_own_lengths(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path, manifest, out = save_toy(tmp_path / "m"), save_noise(tmp_path), tmp_path / "b.json"
    command = ["--model", str(path), "--manifest", str(manifest), "--sample-percent", "60", "--rounds", "2", "--quiet"]
    assert main([*command, "--threads", "1", "--json", str(out)]) == 0
    document = json.loads(out.read_text())
    (row,) = document["results"]
    assert document["utterances"] == 3 == len(row["utterance_ms"])
    assert row["rtf"] == pytest.approx(row["median_ms"] / 1000 / document["audio_s"])
    assert sum(row["utterance_ms"]) < 2 * max(row["wall_ms"])
    assert "RTF" in capsys.readouterr().out


def test_with_low_memory_one_engine_runs_at_a_time(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(zeroq_research.benchmark.run, "installed_peers", tuple)
    path, out = tmp_path / "small.nemo", tmp_path / "b.json"
    path.write_bytes(nemo_bytes())
    groups = []

    def observed(engines: list[TimedEngine], *rest: Any) -> list[Timing]:
        groups.append([engine.name for engine in engines])
        if groups[-1] == ["torch-float32"]:
            raise LatencyError("engine torch-float32: its process ended early")
        return time_engines(engines, *rest)

    monkeypatch.setattr(zeroq_research.benchmark.run, "time_engines", observed)
    assert main(["--model", str(path), *QUICK, "--threads", "1", "--low-memory", "--json", str(out)]) == 0
    table = kernels_in_use()
    assert groups == [[f"zeroq-{table}", f"limit of {table}"], ["torch-float32"]]
    assert [row["engine"] for row in json.loads(out.read_text())["results"]] == [f"zeroq-{table}"]
    assert "failed, 1 thread(s): engine torch-float32: its process ended early" in capsys.readouterr().out


def test_a_busy_machine_is_reported() -> None:
    numbers = (
        *("median_ms", "min_ms", "ratio", "ratio_low", "ratio_high", "gmac_per_s", "cpu_ms", "rss_mb", "file_mb"),
        "limit_share",
    )
    row: dict[str, object] = {"engine": "e", "threads": 2, **dict.fromkeys(numbers, 1.0)}
    assert "busy" in latency_table([row | {"cpu_per_wall": 2.0}, row | {"cpu_per_wall": 0.5}])
    assert "busy" not in latency_table([row | {"cpu_per_wall": 1.0, "limit_share": None}])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--model", "no-such.nemo"], "no such file"),
        (["--frames", "0"], "--frames: expected 1"),
        (["--rounds", "0"], "--rounds: expected 1"),
        (["--batch", "-1"], "--batch: expected 1"),
        (["--threads", "0"], "--threads: expected 1"),
        (["--single-core", "--threads", "2"], "--single-core: goes with --threads 1"),
        (["--bits", "9"], "--bits: expected a whole number from 2 to 8"),
        (["--kernels", "abacus"], "--kernels: expected some of"),
        (["--sample-percent", "5"], "--sample-percent: goes with --manifest"),
        (["--manifest", "clean", "--sample-percent", "0"], "--sample-percent: expected a number above 0"),
        (["--manifest", "clean", "--batch", "2"], "expected no --frames and no --batch"),
        (["--manifest", "no-such.json"], "no-such.json"),
        (["--seed", "-1"], "--seed: expected 0 to"),
        (["--json", "."], "expected the name of a file"),
        (["--plot", f"{__file__}/plot.png"], "is not a folder"),
    ],
)
def test_errors_are_one_line(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*arguments, "--quiet"]) == 2
    error = capsys.readouterr().err.strip().splitlines()[-1]
    assert error.startswith("error: ") and words in error


def test_without_a_gpu_cuda_is_an_error(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("zeroq_research.engines.torch_float.has_cuda", lambda: False)
    assert main(["--device", "cuda", "--quiet"]) == 2
    assert capsys.readouterr().err.strip() == (
        "error: --device cuda: expected a GPU that torch can use, found none; remove the flag"
    )


@pytest.mark.parametrize("flags", [["--bits", "4"], ["--device", "cuda"]])
def test_a_quantized_file_takes_no_flags_of_float_models(
    flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("zeroq_research.engines.torch_float.has_cuda", lambda: True)
    assert main(["--model", str(save_toy(tmp_path / "m")), *flags, "--quiet"]) == 2
    assert "expected a float model" in capsys.readouterr().err


def test_a_file_of_another_kind_is_an_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    data = tmp_path / "m"
    data.write_bytes(b"no model at all")
    assert main(["--model", str(data), "--quiet"]) == 2
    assert str(data) in capsys.readouterr().err
