"""Integer graph -> the program that the kernels run. Building it is also its proof: no accumulator can overflow."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from int_kernels import (
    Activation,
    Argmax,
    Attention,
    Conv1d,
    Conv2d,
    Dyadic,
    IntType,
    LayerNorm,
    Lookup,
    Mean,
    Multiply,
    Positions,
    Program,
    Step,
    Sum,
    ValueSpec,
)
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.ops import OPS
from zeroq_asr.ir.types import Graph, Node

Names = tuple[str, ...]
Constants = list[Any]


def build_program(graph: Graph, outputs: Sequence[str] | None = None) -> Program:
    """Return the program of an integer graph; `outputs` may name any values instead of the graph's own outputs.

    Raises GraphError (another dialect) and int_kernels.KernelError (an accumulator could overflow, ...).
    """
    if graph.dialect != "integer":
        raise GraphError(f"expected a graph of the integer dialect, got one of the {graph.dialect} dialect")
    values = []
    for value in graph.values.values():
        assert isinstance(value.type, IntType)
        values.append(ValueSpec(value.name, value.channels, value.type))
    (name,) = graph.inputs
    steps = tuple(_step(graph, node) for node in graph.nodes)
    return Program(tuple(values), steps, name, tuple(outputs or graph.outputs))


def _step(graph: Graph, node: Node) -> Step:
    count = len(node.inputs) - len(OPS["integer", node.op].constants)
    constants = [graph.constants[name] for name in node.inputs[count:]]
    return _STEPS[node.op](node, node.inputs[:count], constants)


def _clip(node: Node) -> tuple[int, int]:
    return node.integer("lo"), node.integer("hi")


def _conv1d(node: Node, xs: Names, constants: Constants) -> Step:
    weight, bias, multiplier, shift = constants
    rescale = Dyadic(multiplier, shift)
    return Conv1d(xs[0], node.output, weight, bias, *_geometry(node), rescale, _clip(node))


def _accumulate(node: Node, xs: Names, constants: Constants) -> Step:
    weight, bias = constants
    return Conv1d(xs[0], node.output, weight, bias, *_geometry(node))


def _geometry(node: Node) -> tuple[int, int, int, int]:
    return node.integer("stride"), node.integer("dilation"), node.integer("padding"), node.integer("groups")


def _conv2d(node: Node, xs: Names, constants: Constants) -> Step:
    weight, bias, multiplier, shift = constants
    stride, padding = ((node.integer(f"{name}_h"), node.integer(f"{name}_t")) for name in ("stride", "padding"))
    height, groups, rescale = node.integer("height"), node.integer("groups"), Dyadic(multiplier, shift)
    return Conv2d(xs[0], node.output, weight, bias, height, stride, padding, groups, rescale, _clip(node))


def _sum(node: Node, xs: Names, constants: Constants) -> Step:
    multipliers, shift = constants
    return Sum(xs, node.output, multipliers, shift, _clip(node))


def _rescale(node: Node, xs: Names, constants: Constants) -> Step:
    multipliers, shift, offset = constants
    return Sum(xs, node.output, multipliers, shift, _clip(node), offset)


def _activation(node: Node, xs: Names, constants: Constants) -> Step:
    multiplier, shift = constants
    rescales = tuple(Dyadic(m, r) for m, r in zip(multiplier, shift, strict=True))
    kind = node.attrs["kind"]
    assert isinstance(kind, str)
    last = (node.integer("out_multiplier"), node.integer("out_shift"), node.integer("offset"), _clip(node))
    return Activation(kind, xs, node.output, rescales, *last)


def _layer_norm(node: Node, xs: Names, constants: Constants) -> Step:
    multipliers, shift, offset = constants
    return LayerNorm(xs[0], node.output, node.integer("epsilon"), multipliers, offset, shift, _clip(node))


def _attention(node: Node, xs: Names, constants: Constants) -> Step:
    content, position, multiplier, shift = constants
    qu, qv, k, v, p = xs
    scores = (node.integer("heads"), content, position, node.integer("score_shift"))
    return Attention(qu, qv, k, v, p, node.output, *scores, Dyadic(multiplier, shift), _clip(node))


_STEPS: Mapping[str, Callable[[Node, Names, Constants], Step]] = {
    "conv1d": _conv1d,
    "accumulate": _accumulate,
    "conv2d": _conv2d,
    "sum": _sum,
    "rescale": _rescale,
    "multiply": lambda node, xs, constants: Multiply((xs[0], xs[1]), node.output),
    "mean": lambda node, xs, constants: Mean(xs[0], node.output, Dyadic(*constants), _clip(node)),
    "lookup": lambda node, xs, constants: Lookup(xs[0], node.output, *constants),
    "activation": _activation,
    "layer_norm": _layer_norm,
    "positions": lambda node, xs, constants: Positions(xs[0], node.output, *constants),
    "attention": _attention,
    "argmax": lambda node, xs, constants: Argmax(xs[0], node.output),
}
