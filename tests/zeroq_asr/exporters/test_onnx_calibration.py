"""Our ranges in ONNX Runtime's formats, read back by its own readers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from support.toy import toy_graph, toy_mel
from support.toy_conformer import toy_conformer

from zeroq_asr.errors import MissingExtraError
from zeroq_asr.exporters import onnx_calibration, to_onnx
from zeroq_asr.exporters.onnx_calibration import (
    OnnxTokens,
    cache_bytes,
    flatbuffers_bytes,
    require_onnxruntime,
    watch_tensors,
)
from zeroq_asr.ir import Array, Graph
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.quant.ranges import Range, RangeTable
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_asr.runtime.float_tokens import FloatTokens
from zeroq_research.engines import installed_peers

with_runtime = pytest.mark.skipif("onnxruntime" not in installed_peers(), reason="needs the extra peers")
TABLE = RangeTable({"mel": Range(-3.5, 2.0, 9), "relu": Range(0.0, 12.7, 9), "silent": Range(0.0, 0.0, 9)}, "synthetic")


@with_runtime
def test_the_cache_is_what_the_runtime_reads(tmp_path: Path) -> None:
    from onnxruntime.quantization.calibrate import CalibrationMethod, load_tensors_data

    (tmp_path / "cache.json").write_bytes(cache_bytes(TABLE))
    found = load_tensors_data(tmp_path / "cache.json")
    assert found.calibration_method == CalibrationMethod.MinMax
    assert {name: tuple(map(float, data.range_value)) for name, data in found.items()} == {
        "mel": (-3.5, 2.0),
        "relu": (0.0, pytest.approx(12.7)),
        "silent": (0.0, 0.0),
    }


@with_runtime
def test_the_table_of_its_tensorrt_provider_holds_magnitudes() -> None:
    from onnxruntime.quantization.CalTableFlatBuffers.TrtTable import TrtTable

    table = TrtTable.GetRootAs(flatbuffers_bytes(TABLE), 0)
    pairs = [table.Dict(i) for i in range(table.DictLength())]
    found = {pair.Key().decode(): float(pair.Value()) for pair in pairs}
    assert found == {"mel": 3.5, "relu": pytest.approx(12.7), "silent": 1.0}


@with_runtime
@pytest.mark.parametrize("graph", [prepare(toy_graph()), prepare(toy_conformer())], ids=["convolutions", "attention"])
def test_every_float_tensor_is_seen_and_ours_have_our_values(graph: Graph, tmp_path: Path) -> None:
    import onnx

    (tmp_path / "model.onnx").write_bytes(to_onnx(graph))
    mel = np.random.default_rng(0).normal(size=(2, graph.values["mel"].channels, 37)).astype(np.float32)
    seen: dict[str, list[Array]] = {}
    watch_tensors(tmp_path / "model.onnx", [mel], lambda name, x: seen.setdefault(name, []).append(x), 1)
    values = FloatExecutor(graph).run(mel, keep=[*graph.values])
    for name, value in values.items():
        rows = [value.numpy()] if len(value) == 1 else value.numpy()[:, None]  # (positions have no batch)
        for row, found in zip(rows, seen[name], strict=len(value) > 1):
            np.testing.assert_allclose(found[:, :, 0], row, rtol=1e-3, atol=1e-4)
    inferred = onnx.shape_inference.infer_shapes(onnx.load(tmp_path / "model.onnx")).graph
    typed = {value.name: value.type.tensor_type.elem_type for value in (*inferred.value_info, *inferred.output)}
    assert {name for node in inferred.node for name in node.output} == set(typed)
    assert set(seen) == {"mel", *(name for name, type in typed.items() if type == onnx.TensorProto.FLOAT)}


@with_runtime
@pytest.mark.parametrize("graph", [toy_graph(), toy_conformer()], ids=["convolutions", "attention"])
def test_tokens_are_those_of_our_float_model(graph: Graph, tmp_path: Path) -> None:
    (tmp_path / "model.onnx").write_bytes(to_onnx(prepare(graph)))
    features = [toy_mel(n, 1, n)[0] for n in (61, 9, 40)]
    features = [np.resize(mel, (graph.values["mel"].channels, mel.shape[1])) for mel in features]
    found = OnnxTokens(tmp_path / "model.onnx", 1).tokens(features)
    for ours, theirs in zip(FloatTokens(graph, 1).tokens(features), found, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_the_packages_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_calibration, "find_spec", lambda package: None)
    with pytest.raises(MissingExtraError, match=r"the package onnx, .*`pip install 'zeroq-asr\[peers\]'`"):
        require_onnxruntime()
