from __future__ import annotations

import numpy as np
import pytest
from support.toy import toy_graph, toy_mel
from support.toy_conformer import toy_conformer

from zeroq_asr.exporters import to_onnx
from zeroq_asr.ops import GraphBuilder
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.fold_batchnorm import fold_batchnorm
from zeroq_asr.runtime.float_executor import FloatExecutor

onnx = pytest.importorskip("onnx")


@pytest.mark.parametrize("fold", [False, True])
@pytest.mark.parametrize("fixed", [False, True])
def test_onnxruntime_computes_what_our_float_executor_computes(fold: bool, fixed: bool) -> None:
    runtime = pytest.importorskip("onnxruntime")
    graph = fold_batchnorm(toy_graph()) if fold else toy_graph()
    session = runtime.InferenceSession(to_onnx(graph, *((2, 61) if fixed else ())), providers=["CPUExecutionProvider"])
    for frames in (61,) if fixed else (61, 40):
        mel = toy_mel(frames, 2, frames)
        (found,) = session.run(None, {"mel": mel[:, :, None]})
        expected = FloatExecutor(graph).run(mel)["logits"].numpy()
        assert found.shape == (*expected.shape[:2], 1, expected.shape[2])
        np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-4, atol=1e-5)


def test_the_file_is_valid_onnx_with_open_or_fixed_sizes() -> None:
    for sizes, shape in (((), ["B", 6, 1, "T"]), ((3, 50), [3, 6, 1, 50])):
        model = onnx.load_from_string(to_onnx(toy_graph(), *sizes))
        onnx.checker.check_model(model, full_check=True)
        dims = model.graph.input[0].type.tensor_type.shape.dim
        assert [d.dim_param or d.dim_value for d in dims] == shape


@pytest.mark.parametrize("frames", [4, 37])
def test_attention_models_at_a_fixed_length(frames: int) -> None:
    runtime = pytest.importorskip("onnxruntime")
    for graph in (toy_conformer(), prepare(toy_conformer())):
        mel = np.random.default_rng(frames).normal(size=(2, 8, frames)).astype(np.float32)
        content = to_onnx(graph, 2, frames)
        onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
        (found,) = runtime.InferenceSession(content, providers=["CPUExecutionProvider"]).run(
            None, {"mel": mel[:, :, None]}
        )
        expected = FloatExecutor(graph).run(mel)["logits"].numpy()
        np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-4, atol=2e-5)


@pytest.mark.parametrize("op", ["sigmoid", "tanh", "swish", "gelu", "glu", "multiply", "mean"])
def test_the_other_operations(op: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    b = GraphBuilder()
    x = b.input("mel", 6)
    operands = (x, b.node("scale", (x,), "half", 6, factor=0.5)) if op in ("glu", "multiply") else (x,)
    graph = b.build((b.node(op, operands, "y", 6),))
    mel = toy_mel(0, 2, 9)
    session = runtime.InferenceSession(to_onnx(graph), providers=["CPUExecutionProvider"])
    (found,) = session.run(None, {"mel": mel[:, :, None]})
    np.testing.assert_allclose(found[:, :, 0], FloatExecutor(graph).run(mel)["y"].numpy(), rtol=1e-5, atol=1e-6)


def test_attention_models_at_any_length() -> None:
    """One file for all utterances, down to a single frame behind the subsampling and up to long ones."""
    runtime = pytest.importorskip("onnxruntime")
    graph = toy_conformer()
    content = to_onnx(graph)
    onnx.checker.check_model(onnx.load_from_string(content), full_check=True)
    session = runtime.InferenceSession(content, providers=["CPUExecutionProvider"])
    for batch, frames in ((1, 1), (2, 7), (1, 38), (2, 4001)):
        mel = np.random.default_rng(frames).normal(size=(batch, 8, frames)).astype(np.float32)
        (found,) = session.run(None, {"mel": mel[:, :, None]})
        expected = FloatExecutor(graph).run(mel)["logits"].numpy()
        assert found.shape == (*expected.shape[:2], 1, expected.shape[2])
        np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-4, atol=5e-5)
