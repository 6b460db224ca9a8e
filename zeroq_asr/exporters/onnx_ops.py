"""Each operation of the float dialect as nodes of ONNX (opset 17), on values [B, C, 1, T]."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.ir.types import Graph, Node

_FLOAT = 1
"""TensorProto.FLOAT."""
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

    def length(self, value: str, output: str) -> str:
        """T of a value as an int64 tensor [1], known only when the file runs."""
        return self.emit("Shape", [value], output, start=3, end=4)


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
    """Column k, row 2d + j: sin (j = 0) or cos (j = 1) of p / 10000^(2d / D), p = T - 1 - k."""
    y, channels = node.output, body.graph.values[node.output].channels
    periods = np.exp(np.arange(0, channels, 2) * (math.log(10000.0) / channels))
    if body.lengths is not None:
        frames = body.lengths[node.inputs[0]]
        angles = np.arange(frames - 1, -frames, -1) / periods[:, None]  # [D / 2, 2T - 1]
        table = np.stack((np.sin(angles), np.cos(angles)), axis=1).reshape(1, channels, 1, -1)
        body.emit("Identity", [body.constant(f"{y}.table", table)], y)
        return
    one, axis = body.constant(f"{y}.one", 1, np.int64), body.constant(f"{y}.axis", [0], np.int64)
    frames_now = body.emit("Squeeze", [body.length(node.inputs[0], f"{y}.length"), axis], f"{y}.frames")
    first = body.emit("Sub", [frames_now, one], f"{y}.first")
    end, step = body.emit("Neg", [frames_now], f"{y}.end"), body.constant(f"{y}.step", -1, np.int64)
    counted = body.emit("Range", [first, end, step], f"{y}.range")
    places = body.emit("Cast", [counted], f"{y}.places", to=_FLOAT)
    # (a division: programs that quantize take multiplications, and an angle of 8 bits is none)
    angle = body.emit("Div", [places, body.constant(f"{y}.periods", periods.reshape(1, -1, 1, 1))], f"{y}.angles")
    waves = [body.emit(name, [angle], f"{y}.{name.lower()}") for name in ("Sin", "Cos")]
    body.reshape(body.emit("Concat", waves, f"{y}.waves", axis=2), y, 1, channels, 1, -1)


def _attention(body: OnnxBody, node: Node) -> None:
    y, heads = node.output, node.integer("heads")
    width = body.graph.values[y].channels // heads
    qu, qv, k, v, p = (
        body.reshape(x, f"{y}.{role}", 0, heads, width, -1)
        for role, x in zip(("qu", "qv", "k", "v", "p"), node.inputs, strict=True)
    )  # [B, H, dk, T]
    content = body.emit("MatMul", [body.transpose(qu, f"{y}.qu.rows", 0, 1, 3, 2), k], f"{y}.content")
    position = body.emit("MatMul", [body.transpose(qv, f"{y}.qv.rows", 0, 1, 3, 2), p], f"{y}.position")
    scores = body.emit("Add", [content, _shifted(body, node, position)], f"{y}.sum")
    scores = body.emit("Mul", [scores, body.constant(f"{y}.root", width**-0.5)], f"{y}.scores")
    weights = body.emit("Softmax", [scores], f"{y}.weights", axis=-1)
    made = body.emit("MatMul", [weights, body.transpose(v, f"{y}.v.rows", 0, 1, 3, 2)], f"{y}.heads")
    body.reshape(body.transpose(made, f"{y}.columns", 0, 1, 3, 2), y, 0, heads * width, 1, -1)


def _shifted(body: OnnxBody, node: Node, position: str) -> str:
    """y[.., i, j] = position[.., i, T - 1 - i + j], [B, H, T, 2T - 1] -> [B, H, T, T]."""
    y, heads = node.output, node.integer("heads")
    if body.lengths is not None:
        frames = body.lengths[y]
        if frames == 1:
            return position
        # row i of the result begins (T - 1) + i (2T - 2) numbers behind the first
        flat, row = body.reshape(position, f"{y}.flat", 0, heads, -1), 2 * frames - 2
        rows = body.cut(flat, f"{y}.behind", frames - 1, frames - 1 + frames * row, 2)
        return body.cut(body.reshape(rows, f"{y}.rows", 0, heads, frames, row), f"{y}.shifted", 0, frames, 3)
    # with a column of zeros behind it, (T - 1) + i (2T - 1), for T = 1 too; the last number is not needed
    frames_now, one = body.length(node.inputs[0], f"{y}.length"), body.constant(f"{y}.one", [1], np.int64)
    column = body.constant(f"{y}.column", [0, 0, 0, 0, 0, 0, 0, 1], np.int64)
    flat = body.reshape(body.emit("Pad", [position, column], f"{y}.padded"), f"{y}.flat", 0, heads, -1)
    start, last = body.emit("Sub", [frames_now, one], f"{y}.start"), body.constant(f"{y}.last", [-1], np.int64)
    rows = body.emit("Slice", [flat, start, last, body.constant(f"{y}.along", [2], np.int64)], f"{y}.behind")
    sizes = [body.constant(f"{y}.batch", [0, heads], np.int64), frames_now, last]
    rows = body.emit("Reshape", [rows, body.emit("Concat", sizes, f"{y}.sizes", axis=0)], f"{y}.rows")
    bounds = [body.constant(f"{y}.begin", [0], np.int64), frames_now, body.constant(f"{y}.across", [3], np.int64)]
    return body.emit("Slice", [rows, *bounds], f"{y}.shifted")


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
