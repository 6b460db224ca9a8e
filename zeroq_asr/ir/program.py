"""Integer graph -> the program that the kernels run. Building it is also its proof: no accumulator can overflow."""

from __future__ import annotations

from collections.abc import Sequence

from int_kernels import Argmax, Conv1d, Dyadic, IntType, Program, Sum, ValueSpec
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Graph, Node


def build_program(graph: Graph, outputs: Sequence[str] | None = None) -> Program:
    """Return the program of an integer graph; `outputs` may name any values instead of the graph's own outputs.

    Raises GraphError (another dialect) and int_kernels.KernelError (an accumulator could overflow, ...).
    """
    if graph.dialect != "integer":
        raise GraphError(f"needed a graph of the integer dialect, came one of the {graph.dialect} dialect")
    values = []
    for value in graph.values.values():
        assert isinstance(value.type, IntType)
        values.append(ValueSpec(value.name, value.channels, value.type))
    (name,) = graph.inputs
    steps = tuple(_step(graph, node) for node in graph.nodes)
    return Program(tuple(values), steps, name, tuple(outputs or graph.outputs))


def _step(graph: Graph, node: Node) -> Conv1d | Sum | Argmax:
    if node.op == "argmax":
        return Argmax(node.inputs[0], node.output)
    if node.op == "sum":
        multipliers, shift = (graph.constants[name] for name in node.inputs[-2:])
        clip = (node.integer("lo"), node.integer("hi"))
        return Sum(node.inputs[:-2], node.output, multipliers, shift, clip)  # type: ignore[arg-type]
    weight, bias = (graph.constants[name] for name in node.inputs[1:3])
    rescale, limits = None, None
    if node.op == "conv1d":
        multiplier, shift = (graph.constants[name] for name in node.inputs[3:])
        rescale = Dyadic(multiplier, shift)  # type: ignore[arg-type]
        limits = (node.integer("lo"), node.integer("hi"))
    geometry = {name: node.integer(name) for name in ("stride", "dilation", "padding", "groups")}
    return Conv1d(node.inputs[0], node.output, weight, bias, **geometry, rescale=rescale, clip=limits)  # type: ignore[arg-type]
