"""The head without biases that only suppress a token: they would set the grid of all logits.

Given: a prepared graph whose head is a conv1d of kernel K, and the scale and type of what it reads
Result: the same, with b_c raised to max(b_c, L - R - r_c)

    r_c = sum over i, k of |W[c, i, k]| |x_i|_max,    R = max r_c,    L = max over d of (b_d - r_d)

|x_i|_max is the largest number that the codes of x_i can represent. The best logit is at least L whatever the input is,
and a raised one at most L - R. So the channel loses as before, by at least R, and the range of the logits is bounded by
that of the channels that can win. A head without such channels is returned as it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.passes.rebuild import folded_constant, rebuild
from zeroq_asr.quant.qparams import QuantParams

ESTABLISHES = "head bias limited"


def limit_head_bias(graph: Graph, qparams: Mapping[str, QuantParams]) -> Graph:
    """Return `graph` with the biases of its head limited from below; `graph` itself if none has to change."""
    head = graph.producer(graph.outputs[0])
    if head is None or head.op != "conv1d" or len(head.inputs) < 3 or head.integer("groups") > 1:
        return graph
    value, weight_name, bias_name = head.inputs
    weight, bias = (graph.constants[name].astype(np.float64) for name in (weight_name, bias_name))
    params = qparams[value]
    largest = max(params.type.hi - params.offset, params.offset - params.type.lo)
    reach = np.abs(weight).sum(axis=2) @ (largest * params.scales(weight.shape[1]))
    limited = np.maximum(bias, (bias - reach).max() - reach.max() - reach)
    if np.array_equal(limited, bias):
        return graph
    name = f"{head.output}.limited.bias"
    constants = {**graph.constants, name: folded_constant(head.output, limited)}
    new = Node(head.op, (value, weight_name, name), head.output, head.attrs, head.origin)
    return rebuild(graph, [new if node is head else node for node in graph.nodes], constants, ESTABLISHES)
