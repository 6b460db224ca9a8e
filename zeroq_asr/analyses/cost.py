"""What the convolutions of a graph cost, and the products inside attention."""

from __future__ import annotations

import math

from eval.cost import ConvCost, ProductCost
from int_kernels.int_type import IntType
from zeroq_asr.ir.frames import count_frames
from zeroq_asr.ir.types import Graph

PAPER_FRAMES = 1001
"""10 seconds at a hop of 10 ms, counted as the paper's table 1 counts them."""


_PROBABILITY_BITS = 15
"""Unnormalised probabilities of the integer attention lie in 0..16384."""


def count_costs(graph: Graph, frames: int = PAPER_FRAMES) -> dict[str, ConvCost]:
    """Return the cost of every convolution for an input of `frames` frames, by the name of its output value.

    A layer over channels is a convolution of one frame; a two-dimensional one counts KH * KT taps at H' * T' places.
    A float graph counts 32 bits for weights and activations, an integer graph the bits of its codes. This is what the
    paper counts: the products inside attention are `count_products`.
    """
    lengths = count_frames(graph, frames)
    costs = {}
    for node in graph.nodes:
        if node.op in ("conv1d", "accumulate", "conv2d"):
            shape = graph.constants[node.inputs[1]].shape
            places = lengths[node.output] * (graph.values[node.output].channels // shape[0])
            weight_bits = node.integer("bits") if "bits" in node.attrs else 32
            costs[node.output] = ConvCost(
                shape[0], shape[1], math.prod(shape[2:]), places, weight_bits, _bits(graph, node.inputs[0])
            )
    return costs


def count_products(graph: Graph, frames: int = PAPER_FRAMES) -> dict[str, ProductCost]:
    """Return the cost of the three matrix products of every attention, for an input of `frames` frames.

    By the name of its output value and ".content" (queries times keys), ".position" (queries times all 2 T - 1 relative
    positions) and ".value" (probabilities times values). Neither operand is a weight.
    """
    lengths = count_frames(graph, frames)
    products = {}
    for node in graph.nodes:
        if node.op == "attention":
            length, channels = lengths[node.output], graph.values[node.output].channels
            qu, qv, k, v, p = (_bits(graph, name) for name in node.inputs[:5])
            probability = 32 if graph.dialect == "float" else _PROBABILITY_BITS
            products[f"{node.output}.content"] = ProductCost(length, channels, length, qu, k)
            products[f"{node.output}.position"] = ProductCost(length, channels, 2 * length - 1, qv, p)
            products[f"{node.output}.value"] = ProductCost(length, length, channels, probability, v)
    return products


def _bits(graph: Graph, value: str) -> int:
    type = graph.values[value].type
    return type.bits if isinstance(type, IntType) else 32
