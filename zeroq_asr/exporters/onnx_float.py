"""The float graph as ONNX.

    input  "mel"    float32 [B, n_mels, 1, T]
    output "logits" float32 [B, V + 1, 1, T']

A one-dimensional convolution is written as a two-dimensional one of height 1: ONNX Runtime and OpenVINO have fast float
kernels for that form only. Masks are not written: every row of a batch is taken to be T frames long.
"""

from __future__ import annotations

from typing import Any

from zeroq_asr.exporters.onnx_body import OnnxBody
from zeroq_asr.ir.types import Graph
from zeroq_asr.ops import OPS, count_frames

OPSET, IR_VERSION = 17, 8


def to_onnx(graph: Graph, batch: int | None = None, frames: int | None = None) -> bytes:
    """Return the ONNX file of a float graph; batch and length stay open where they are None. Raises GraphError."""
    from onnx import TensorProto, helper, numpy_helper

    (source,), results = graph.inputs, graph.outputs

    def info(name: str, length: int | str) -> Any:
        shape = [batch or "B", graph.values[name].channels, 1, length]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    body = OnnxBody(graph, None if frames is None else count_frames(graph, frames))
    for node in graph.nodes:
        OPS[node.op].to_onnx(body, node)
    # (a weight [C_out, C_in / groups, K] becomes one of height 1; the rest stays as it is)
    constants = {name: array[:, :, None] if array.ndim == 3 else array for name, array in graph.constants.items()}
    used = {name for node in body.nodes for name in node.input}
    onnx_graph = helper.make_graph(
        body.nodes,
        "zeroq-asr",
        [info(source, frames or "T")],
        [info(name, f"T {name}") for name in results],
        [numpy_helper.from_array(a, name) for name, a in {**constants, **body.constants}.items() if name in used],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(onnx_graph, producer_name="zeroq-asr", opset_imports=opsets, ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content
