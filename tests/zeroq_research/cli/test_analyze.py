"""The analysis on a toy model: it ranks the layer that was spoiled first, and both ways add up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from support.nemo_files import nemo_bytes
from support.small_bench import small_bench
from support.toy import toy_graph, toy_mel
from support.toy_models import save_noise, toy_float_model
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from zeroq_asr.analyses.sensitivity import Sensitivity, find_layers
from zeroq_asr.analyses.sqnr import measure_sqnr
from zeroq_asr.analyses.value_errors import measure_codes
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.ir.types import Graph
from zeroq_asr.models.open import integer_transcriber
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.pipelines.quantize import quantize_model
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_research.cli.analyze import main

MELS = [toy_mel(seed, 1, 80)[0] for seed in range(2)]


def quantized(config: QuantizeConfig) -> tuple[Graph, dict[str, QuantParams]]:
    graph = prepare(toy_graph())
    table = calibrate(FloatExecutor(graph), [toy_mel(1, 4, 200)], config, "noise")
    return graph, dict(assign_qparams(graph, table, config))


def test_all_layers_are_found_with_what_they_read() -> None:
    graph, qparams = quantized(QuantizeConfig())
    layers = find_layers(graph, qparams)
    assert [layer.name for layer in layers] == [node.output for node in graph.nodes if node.op == "conv1d"]
    assert layers[0].reads == ("mel",) and all(len(layer.reads) == 1 for layer in layers)


def test_coarser_weights_diverge_more_and_the_float_model_not_at_all() -> None:
    divergence = {}
    for bits in (8, 3):
        config = QuantizeConfig(bits=bits)
        sensitivity = Sensitivity(*quantized(config), config, MELS)
        assert sensitivity.real().kl == 0.0
        divergence[bits] = sensitivity.everything().kl
    assert 0 < divergence[8] < divergence[3] / 10


def test_a_spoiled_layer_is_the_worst_both_ways() -> None:
    config = QuantizeConfig()
    graph, qparams = quantized(config)
    spoiled = "b1.0.relu"
    qparams[spoiled] = QuantParams(40 * qparams[spoiled].scale, qparams[spoiled].type)
    sensitivity = Sensitivity(graph, qparams, config, MELS)
    (reader,) = [layer for layer in sensitivity.layers if spoiled in layer.reads]
    only = {layer.name: sensitivity.only(layer).kl for layer in sensitivity.layers}
    without = {layer.name: sensitivity.all_but(layer).kl for layer in sensitivity.layers}
    assert max(only, key=lambda name: only[name]) == reader.name
    assert min(without, key=lambda name: without[name]) == reader.name
    assert without[reader.name] < 0.2 * sensitivity.everything().kl


def test_errors_of_codes_agree_with_the_other_measure() -> None:
    config = QuantizeConfig(bits=5)
    graph, qparams = quantized(config)
    executor, lowered = FloatExecutor(graph), lower_to_integer(graph, qparams, config)
    found = measure_codes(executor, lowered, qparams, MELS)
    expected = measure_sqnr(executor, lowered, qparams, np.stack(MELS))
    assert {name: error.sqnr_db for name, error in found.items()} == pytest.approx(expected)
    for name, error in found.items():
        assert 0.9 < error.cosine <= 1.0 and 0.0 <= error.clipped < 0.7, name
        noise = 10 ** (-error.sqnr_db / 10)  # a small error at this angle
        assert 1 - error.cosine**2 <= noise * 1.01
    # codes of the input: 2 utterances of 6 x 80
    assert found["mel"].counts.sum() == 2 * 6 * 80


def test_rounding_everything_is_what_the_integer_program_does() -> None:
    """Methods of every kind included: the analysis takes apart the program that `quantize` writes."""
    config = QuantizeConfig(bits=3, methods=("equalization", "clipping", "bias-correction"))
    mels = [toy_mel(seed, 1, 400)[0] for seed in range(10)]
    made = quantize_model(toy_float_model(), [toy_mel(1, 4, 200)], "noise", config)
    found = Sensitivity(made.graph, made.qparams, config, mels, made.corrected, made.rounded)
    uncorrected = Sensitivity(made.graph, made.qparams, config, mels)
    transcriber = integer_transcriber(made.model, "toy", 0)
    (everything, other) = (sensitivity.everything() for sensitivity in (found, uncorrected))
    assert everything.kl != other.kl
    mine, theirs = (np.concatenate(tokens) for tokens in (everything.tokens, transcriber.source.tokens(mels)))
    assert np.mean(mine == theirs) > 0.98
    first = found.layers[0]
    assert found.only(first).kl != uncorrected.only(first).kl
    assert 0 < found.all_but(first).kl != everything.kl


# ---- the command line ---------------------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def small() -> Iterator[None]:
    with small_bench():
        yield


def test_reports_agree_and_a_second_run_is_the_same(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, noise = tmp_path / "toy.nemo", tmp_path / "noise"
    noise.mkdir()
    model.write_bytes(nemo_bytes())
    manifest = str(save_noise(noise, 4))
    flags = ["--bits", "4", "--manifest", manifest, "--real", manifest, "--probes", "2", "--threads", "1", "--quiet"]
    command = [str(model), *flags, "--cells", str(tmp_path / "cache"), "--output", str(tmp_path / "out")]
    assert main(command) == 0
    printed, folder = capsys.readouterr().out, tmp_path / "out" / "toy-w4a8"
    document = json.loads((folder / "analysis.json").read_text())
    layers = document["layers"]
    assert [row["kl_only"] for row in layers] == sorted((row["kl_only"] for row in layers), reverse=True)
    for row in layers:
        assert row["kl_gain"] == pytest.approx(document["whole"]["integer"]["kl"] - row["kl_all_but"])
        assert row["layer"] in printed and row["layer"] in (folder / "report.html").read_text()
    log = EventAccumulator(str(folder), size_guidance={"histograms": 0})
    log.Reload()
    assert {f"analyze/kl_only/{row['layer']}" for row in layers} <= set(log.Tags()["scalars"])
    assert {"evaluate/wer/float", "evaluate/wer/integer", "calibrate/range/mel/hi"} <= set(log.Tags()["scalars"])
    assert "quantize/codes/mel" in log.Tags()["histograms"]
    assert len(log.Scalars("analyze/by_depth/kl_only")) == len(layers)
    before = {path.name: path.read_bytes() for path in folder.iterdir() if "tfevents" not in path.name}
    assert main([*command, "--no-tensorboard"]) == 0
    assert {path.name: path.read_bytes() for path in folder.iterdir() if "tfevents" not in path.name} == before


def test_bad_flags_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--probes", "0"]) == 2
    assert "--probes" in capsys.readouterr().err
