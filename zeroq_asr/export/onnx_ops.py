"""Each operation of the float dialect as nodes of ONNX (opset 17), on values [B, C, 1, T]."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Graph, Node

_BATCH_NORM_ORDER = (2, 3, 0, 1)
"""ONNX wants scale, bias, mean, variance; ours are mean, var, gamma, beta."""


class OnnxBody:
    """Nodes and constants in the making. lengths: T of every value where the input's is fixed, else None."""

    def __init__(self, graph: Graph, lengths: Mapping[str, int] | None) -> None:
        self.graph, self.lengths = graph, lengths
        self.nodes: list[Any] = []
        self.constants: dict[str, npt.NDArray[Any]] = {}

    def emit(self, operator: str, inputs: list[str], output: str, **attributes: Any) -> str:
        """Append one ONNX node named after its output; return the output."""
        from onnx import helper

        self.nodes.append(helper.make_node(operator, inputs, [output], name=output, **attributes))
        return output

    def constant(self, name: str, value: npt.ArrayLike, dtype: type = np.float32) -> str:
        """Store a constant under `name` and return the name."""
        self.constants[name] = np.asarray(value, dtype)
        return name

    def reshape(self, x: str, output: str, *shape: int) -> str:
        """0 keeps a size, -1 stands for what is left."""
        return self.emit("Reshape", [x, self.constant(f"{output}.shape", shape, np.int64)], output)

    def transpose(self, x: str, output: str, *order: int) -> str:
        """Reorder the axes of `x`."""
        return self.emit("Transpose", [x], output, perm=order)

    def cut(self, x: str, output: str, start: int, end: int, axis: int) -> str:
        """x[start:end] along `axis`."""
        bounds = [
            self.constant(f"{output}.{name}", [at], np.int64)
            for name, at in (("start", start), ("end", end), ("axis", axis))
        ]
        return self.emit("Slice", [x, *bounds], output)

    def length(self, name: str) -> int:
        """T of a value. Raises GraphError when the file is to be open in its length."""
        if self.lengths is None:
            raise GraphError(f"ONNX: value {name!r} needs a fixed length for its relative positions; give `frames`")
        return self.lengths[name]


def _conv1d(body: OnnxBody, node: Node) -> None:
    padding, weight = node.integer("padding"), body.graph.constants[node.inputs[1]]
    body.emit(
        "Conv",
        list(node.inputs),
        node.output,
        kernel_shape=[1, weight.shape[2]],
        strides=[1, node.integer("stride")],
        dilations=[1, node.integer("dilation")],
        pads=[0, padding, 0, padding],
        group=node.integer("groups"),
    )


def _conv2d(body: OnnxBody, node: Node) -> None:
    x, *constants = node.inputs
    y, height, weight = node.output, node.integer("height"), body.graph.constants[node.inputs[1]]
    maps = body.reshape(x, f"{y}.maps", 0, body.graph.values[x].channels // height, height, -1)
    pads = [node.integer("padding_h"), node.integer("padding_t")]
    made = body.emit(
        "Conv",
        [maps, *constants],
        f"{y}.conv",
        kernel_shape=list(weight.shape[2:]),
        strides=[node.integer("stride_h"), node.integer("stride_t")],
        pads=pads + pads,
        group=node.integer("groups"),
    )
    body.reshape(made, y, 0, body.graph.values[y].channels, 1, -1)


def _batch_norm(body: OnnxBody, node: Node) -> None:
    inputs = [node.inputs[0], *(node.inputs[1 + place] for place in _BATCH_NORM_ORDER)]
    body.emit("BatchNormalization", inputs, node.output, epsilon=node.attrs["eps"])


def _layer_norm(body: OnnxBody, node: Node) -> None:
    x, y, channels = node.inputs[0], node.output, body.graph.values[node.output].channels
    affine = list(node.inputs[1:]) or [body.constant(f"{y}.one", np.ones(channels))]
    rows = body.transpose(x, f"{y}.rows", 0, 2, 3, 1)
    made = body.emit("LayerNormalization", [rows, *affine], f"{y}.norm", axis=-1, epsilon=node.attrs["eps"])
    body.transpose(made, y, 0, 3, 1, 2)


def _gated(body: OnnxBody, node: Node) -> None:
    """swish(x) = x sigmoid(x), glu(a, b) = a sigmoid(b)."""
    gate = body.emit("Sigmoid", [node.inputs[-1]], f"{node.output}.gate")
    body.emit("Mul", [node.inputs[0], gate], node.output)


def _gelu(body: OnnxBody, node: Node) -> None:
    x, y = node.inputs[0], node.output
    inner = body.emit("Mul", [x, body.constant(f"{y}.root", math.sqrt(0.5))], f"{y}.inner")
    normal = body.emit("Add", [body.emit("Erf", [inner], f"{y}.erf"), body.constant(f"{y}.one", 1.0)], f"{y}.normal")
    half = body.emit("Mul", [x, body.constant(f"{y}.half", 0.5)], f"{y}.halved")
    body.emit("Mul", [half, normal], y)


def _add(body: OnnxBody, node: Node) -> None:
    # engines fuse and quantize Add; Sum is the same for any number of operands
    body.emit("Add" if len(node.inputs) == 2 else "Sum", list(node.inputs), node.output)


def _scale(body: OnnxBody, node: Node) -> None:
    factor = node.attrs["factor"]
    assert isinstance(factor, float)
    body.emit("Mul", [node.inputs[0], body.constant(f"{node.output}.factor", factor)], node.output)


def _add_bias(body: OnnxBody, node: Node) -> None:
    bias = body.constant(f"{node.output}.column", body.graph.constants[node.inputs[1]].reshape(1, -1, 1, 1))
    body.emit("Add", [node.inputs[0], bias], node.output)


def _mean(body: OnnxBody, node: Node) -> None:
    body.emit("ReduceMean", [node.inputs[0]], node.output, axes=[3], keepdims=1)


def _positions(body: OnnxBody, node: Node) -> None:
    channels, frames = body.graph.values[node.output].channels, body.length(node.inputs[0])
    rates = np.exp(np.arange(0, channels, 2) * -(math.log(10000.0) / channels))
    angles = np.arange(frames - 1, -frames, -1) * rates[:, None]  # [D / 2, 2T - 1]
    table = np.stack((np.sin(angles), np.cos(angles)), axis=1).reshape(1, channels, 1, -1)
    body.emit("Identity", [body.constant(f"{node.output}.table", table)], node.output)


def _attention(body: OnnxBody, node: Node) -> None:
    y, heads, frames = node.output, node.integer("heads"), body.length(node.output)
    width = body.graph.values[y].channels // heads
    qu, qv, k, v, p = (
        body.reshape(x, f"{y}.{role}", 0, heads, width, -1)
        for role, x in zip(("qu", "qv", "k", "v", "p"), node.inputs, strict=True)
    )  # [B, H, dk, T]
    content = body.emit("MatMul", [body.transpose(qu, f"{y}.qu.rows", 0, 1, 3, 2), k], f"{y}.content")
    position = body.emit("MatMul", [body.transpose(qv, f"{y}.qv.rows", 0, 1, 3, 2), p], f"{y}.position")
    if frames > 1:  # row i of the shifted scores begins (T - 1) + i (2T - 2) numbers behind the first
        flat, row = body.reshape(position, f"{y}.flat", 0, heads, -1), 2 * frames - 2
        rows = body.cut(flat, f"{y}.behind", frames - 1, frames - 1 + frames * row, 2)
        position = body.cut(body.reshape(rows, f"{y}.rows", 0, heads, frames, row), f"{y}.shifted", 0, frames, 3)
    scores = body.emit("Add", [content, position], f"{y}.sum")
    scores = body.emit("Mul", [scores, body.constant(f"{y}.root", width**-0.5)], f"{y}.scores")
    weights = body.emit("Softmax", [scores], f"{y}.weights", axis=-1)
    made = body.emit("MatMul", [weights, body.transpose(v, f"{y}.v.rows", 0, 1, 3, 2)], f"{y}.heads")
    body.reshape(body.transpose(made, f"{y}.columns", 0, 1, 3, 2), y, 0, heads * width, 1, -1)


def _named(operator: str) -> Callable[[OnnxBody, Node], None]:
    def emit(body: OnnxBody, node: Node) -> None:
        body.emit(operator, list(node.inputs), node.output)

    return emit


EMITTERS: Mapping[str, Callable[[OnnxBody, Node], None]] = {
    "conv1d": _conv1d,
    "conv2d": _conv2d,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "relu": _named("Relu"),
    "sigmoid": _named("Sigmoid"),
    "tanh": _named("Tanh"),
    "multiply": _named("Mul"),
    "swish": _gated,
    "glu": _gated,
    "gelu": _gelu,
    "add": _add,
    "scale": _scale,
    "add_bias": _add_bias,
    "mean": _mean,
    "positions": _positions,
    "attention": _attention,
}
"""All operations of the float dialect."""
