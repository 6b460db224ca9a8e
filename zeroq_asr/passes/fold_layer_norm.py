"""Fold the affine part of a LayerNorm into the linear layers behind it.

Given:
    z = layer_norm(x, gamma, beta) eps=e       read by linear layers (conv1d with K = 1) only
    y = conv1d(z, weight, bias)
Result:
    z = layer_norm(x) eps=e
    y = conv1d(z, weight * gamma, bias + weight beta)      gamma per input channel

What is left of z is normalised, whatever the checkpoint's gamma: |z| <= sqrt(channels). A LayerNorm that something else
reads too (the residual stream) keeps its affine part. float64, stored as float32; all names stay.
"""

from __future__ import annotations

import numpy as np

from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.verify import verify
from zeroq_asr.passes.rebuild import folded_constant, rebuild

ESTABLISHES = "layer-norm-folded"


def fold_layer_norm(graph: Graph) -> Graph:
    """Return `graph` with the affine parts folded wherever that is possible. Raises GraphError (not finite)."""
    constants: dict[str, Array] = dict(graph.constants)
    replaced: dict[str, Node] = {}
    for node in graph.nodes:
        if node.op != "layer_norm" or len(node.inputs) == 1 or node.output in graph.outputs:
            continue
        consumers = graph.consumers(node.output)
        if consumers and all(_is_linear(graph, consumer) for consumer in consumers):
            replaced[node.output] = Node("layer_norm", node.inputs[:1], node.output, node.attrs, node.origin)
            for consumer in consumers:
                replaced[consumer.output] = _fold(graph, node, consumer, constants)
    result = rebuild(graph, [replaced.get(node.output, node) for node in graph.nodes], constants, ESTABLISHES)
    verify(result)
    return result


def _is_linear(graph: Graph, node: Node) -> bool:
    return (
        node.op == "conv1d"
        and graph.constants[node.inputs[1]].shape[2] == 1
        and node.integer("padding") == 0
        and node.integer("groups") == 1
    )


def _fold(graph: Graph, norm: Node, linear: Node, constants: dict[str, Array]) -> Node:
    affine = [graph.constants[name].astype(np.float64) for name in norm.inputs[1:]]
    gamma, beta = affine if len(affine) == 2 else (affine[0], np.zeros_like(affine[0]))
    weight = graph.constants[linear.inputs[1]].astype(np.float64)
    bias = weight[:, :, 0] @ beta
    if len(linear.inputs) == 3:
        bias = bias + graph.constants[linear.inputs[2]].astype(np.float64)
    names = (f"{linear.output}.folded.weight", f"{linear.output}.folded.bias")
    if names[0] in graph.constants:  # a fold of another pass has taken these names
        names = (f"{linear.output}.normed.weight", f"{linear.output}.normed.bias")
    for name, array in zip(names, (weight * gamma[:, None], bias), strict=True):
        constants[name] = folded_constant(norm.output, array)
    return Node("conv1d", (linear.inputs[0], *names), linear.output, linear.attrs, linear.origin)
