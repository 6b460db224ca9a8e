"""Fold every BatchNorm into the convolution before it.

Given:
    c = conv1d(x, weight)
    y = batch_norm(c, mean, var, gamma, beta) eps=e
Result:
    y = conv1d(x, weight * k, beta - mean * k)      with k = gamma / sqrt(var + e), per output channel

The arithmetic is done in float64 and stored as float32. The folded convolution keeps the BatchNorm's value name, so
that ranges measured by name keep their meaning, and the convolution's origin.
"""

from __future__ import annotations

import numpy as np

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ir.verify import verify
from zeroq_asr.passes.rebuild import folded_constant, rebuild

ESTABLISHES = "no-batch-norm"


def fold_batchnorm(graph: Graph) -> Graph:
    """Return `graph` without BatchNorms. Raises GraphError where a BatchNorm does not follow a convolution of its
    own."""
    folded: dict[str, Node] = {}  # the convolution's value -> its replacement
    dropped: set[str] = set()
    constants: dict[str, Array] = dict(graph.constants)
    for node in graph.nodes:
        if node.op == "batch_norm":
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
    if producer is None or producer.op != "conv1d" or len(consumers) != 1:
        found = "the graph input" if producer is None else f"{producer.op!r} with {len(consumers)} consumer(s)"
        raise GraphError(f"node {node.output!r}: needed a convolution that only this BatchNorm reads, found {found}")
    return producer


def _fold(graph: Graph, convolution: Node, norm: Node, constants: dict[str, Array]) -> Node:
    mean, var, gamma, beta = (graph.constants[name].astype(np.float64) for name in norm.inputs[1:])
    eps = norm.attrs["eps"]
    assert isinstance(eps, float)
    factor = gamma / np.sqrt(var + eps)
    weight = graph.constants[convolution.inputs[1]].astype(np.float64) * factor[:, None, None]
    bias = beta - mean * factor
    if len(convolution.inputs) == 3:
        bias = bias + graph.constants[convolution.inputs[2]].astype(np.float64) * factor
    names = (f"{norm.output}.folded.weight", f"{norm.output}.folded.bias")
    for name, array in zip(names, (weight, bias), strict=True):
        constants[name] = folded_constant(norm.output, array)
    return Node("conv1d", (convolution.inputs[0], *names), norm.output, convolution.attrs, convolution.origin)
