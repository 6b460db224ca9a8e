"""The float graph as ONNX.

    input  "mel"    float32 [B, n_mels, 1, T]
    output "logits" float32 [B, V + 1, 1, T']

A one-dimensional convolution is written as a two-dimensional one of height 1: ONNX Runtime and OpenVINO have fast float
kernels for that form only. Masks are not written: every row of a batch is taken to be T frames long.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Graph, Node

OPSET, IR_VERSION = 17, 8

_OPERATORS: Mapping[str, str] = {"conv1d": "Conv", "batch_norm": "BatchNormalization", "relu": "Relu", "add": "Sum"}
_BATCH_NORM_ORDER = (2, 3, 0, 1)
"""ONNX wants scale, bias, mean, variance; ours are mean, var, gamma, beta."""


def to_onnx(graph: Graph, batch: int | None = None, frames: int | None = None) -> bytes:
    """Return the ONNX file of a float graph; batch and length stay open where they are None. Raises GraphError."""
    if graph.dialect != "float":
        raise GraphError(f"ONNX: needed a graph of the float dialect, came one of the {graph.dialect} dialect")
    from onnx import TensorProto, helper, numpy_helper

    (source,), results = graph.inputs, graph.outputs

    def info(name: str, length: int | str) -> Any:
        shape = [batch or "B", graph.values[name].channels, 1, length]
        return helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)

    body = helper.make_graph(
        [_node(graph, node) for node in graph.nodes],
        "zeroq-asr",
        [info(source, frames or "T")],
        [info(name, f"T {name}") for name in results],
        [
            numpy_helper.from_array(array[:, :, None] if array.ndim == 3 else array, name)
            for name, array in graph.constants.items()
        ],
    )
    opsets = [helper.make_opsetid("", OPSET)]
    model = helper.make_model(body, producer_name="zeroq-asr", opset_imports=opsets, ir_version=IR_VERSION)
    content: bytes = model.SerializeToString()
    return content


def _node(graph: Graph, node: Node) -> Any:
    from onnx import helper

    inputs, operator = list(node.inputs), _OPERATORS[node.op]
    attributes: dict[str, Any] = {}
    if node.op == "conv1d":
        padding = node.integer("padding")
        attributes = {
            "kernel_shape": [1, graph.constants[inputs[1]].shape[2]],
            "strides": [1, node.integer("stride")],
            "dilations": [1, node.integer("dilation")],
            "pads": [0, padding, 0, padding],
            "group": node.integer("groups"),
        }
    elif node.op == "batch_norm":
        inputs = [inputs[0], *(inputs[1 + place] for place in _BATCH_NORM_ORDER)]
        attributes = {"epsilon": node.attrs["eps"]}
    elif node.op == "add" and len(inputs) == 2:
        operator = "Add"  # engines fuse and quantize this one; Sum is the same for any number of operands
    return helper.make_node(operator, inputs, [node.output], name=node.output, **attributes)
