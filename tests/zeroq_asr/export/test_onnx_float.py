from __future__ import annotations

import numpy as np
import pytest
from toy import toy_graph, toy_mel
from toy_models import toy_integer_model

from zeroq_asr.errors import GraphError
from zeroq_asr.export import to_onnx
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


def test_an_integer_program_is_refused() -> None:
    with pytest.raises(GraphError, match="float dialect"):
        to_onnx(toy_integer_model().graph)
