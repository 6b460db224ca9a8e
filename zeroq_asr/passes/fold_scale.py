"""Fold every scale into the convolution before it.

Given:
    c = conv1d(x, weight, bias)            read by the scale only
    y = scale(c) factor=f
Result:
    y = conv1d(x, weight * f, bias * f)

The arithmetic is done in float64 and stored as float32. The folded convolution keeps the scale's value name and the
convolution's origin. Half-step feed-forwards and the scaled input of a Conformer disappear this way.
"""

from __future__ import annotations

import numpy as np

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ir.verify import verify
from zeroq_asr.passes.rebuild import folded_constant, rebuild

ESTABLISHES = "no-scale-node"


def fold_scale(graph: Graph) -> Graph:
    """Return `graph` without scales. Raises GraphError where one does not follow a convolution of its own."""
    folded: dict[str, Node] = {}  # the convolution's value -> its replacement
    dropped: set[str] = set()
    constants: dict[str, Array] = dict(graph.constants)
    for node in graph.nodes:
        if node.op == "scale":
            convolution = _convolution_before(graph, node)
            folded[convolution.output] = _fold(graph, convolution, node, constants)
            dropped.add(node.output)
    nodes = [folded.get(node.output, node) for node in graph.nodes if node.output not in dropped]
    result = rebuild(graph, nodes, constants, ESTABLISHES)
    verify(result)
    return result


def _convolution_before(graph: Graph, node: Node) -> Node:
    producer = graph.producer(node.inputs[0])
    consumers = graph.consumers(node.inputs[0])
    if producer is None or producer.op not in ("conv1d", "conv2d") or len(consumers) != 1:
        found = "the graph input" if producer is None else f"{producer.op!r} with {len(consumers)} consumer(s)"
        raise GraphError(f"node {node.output!r}: needed a convolution that only this scale reads, found {found}")
    return producer


def _fold(graph: Graph, convolution: Node, scale: Node, constants: dict[str, Array]) -> Node:
    factor = scale.attrs["factor"]
    assert isinstance(factor, float)
    names = []
    for role, name in zip(("weight", "bias"), convolution.inputs[1:], strict=False):
        names.append(f"{scale.output}.folded.{role}")
        constants[names[-1]] = folded_constant(scale.output, graph.constants[name].astype(np.float64) * factor)
    return Node(convolution.op, (convolution.inputs[0], *names), scale.output, convolution.attrs, convolution.origin)
