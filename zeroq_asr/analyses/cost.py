"""What the convolutions of a graph cost, and the products inside attention."""

from __future__ import annotations

import math
from collections.abc import Iterator

from eval.cost import ConvCost, ProductCost
from int_kernels import Attention, Conv1d, Conv2d, Program
from zeroq_asr.ir.types import Graph
from zeroq_asr.ops import CONVOLUTIONS, count_frames

PAPER_FRAMES = 1001
"""10 seconds at a hop of 10 ms, counted as the paper's table 1 counts them."""


_PROBABILITY_BITS = 15
"""Unnormalised probabilities of the integer attention lie in 0..16384."""


def count_costs(model: Graph | Program, frames: int = PAPER_FRAMES) -> dict[str, ConvCost]:
    """Return the cost of every convolution for an input of `frames` frames, by the name of the value that it makes.

    A layer over channels is a convolution of one frame; a two-dimensional one counts KH * KT taps at H' * T' places.
    A float graph counts 32 bits for weights and activations, a program the bits of its codes. This is what the
    paper counts: the products inside attention are `count_products`.
    """
    return _graph_costs(model, frames) if isinstance(model, Graph) else _program_costs(model, frames)


def _graph_costs(graph: Graph, frames: int) -> dict[str, ConvCost]:
    lengths = count_frames(graph, frames)
    costs = {}
    for node in graph.nodes:
        if node.op in CONVOLUTIONS:
            shape = graph.constants[node.inputs[1]].shape
            places = lengths[node.output] * (graph.values[node.output].channels // shape[0])
            costs[node.output] = ConvCost(shape[0], shape[1], math.prod(shape[2:]), places, 32, 32)
    return costs


def _program_costs(program: Program, frames: int) -> dict[str, ConvCost]:
    costs = {}
    for step in program.steps:
        if isinstance(step, Conv1d | Conv2d):
            shape = step.weight.shape
            places = program.lengths[step.y].of(frames) * (step.channels_out // shape[0])
            bits = (step.weight_bits, program.spec(step.x).type.bits)
            costs[step.y] = ConvCost(shape[0], shape[1], math.prod(shape[2:]), places, *bits)
    return costs


def count_products(model: Graph | Program, frames: int = PAPER_FRAMES) -> dict[str, ProductCost]:
    """Return the cost of the three matrix products of every attention, for an input of `frames` frames.

    By the name of its value and ".content" (queries times keys), ".position" (queries times all 2 T - 1 relative
    positions) and ".value" (probabilities times values). Neither operand is a weight.
    """
    products = {}
    for name, channels, length, bits, probability in _attentions(model, frames):
        qu, qv, k, v, p = bits
        products[f"{name}.content"] = ProductCost(length, channels, length, qu, k)
        products[f"{name}.position"] = ProductCost(length, channels, 2 * length - 1, qv, p)
        products[f"{name}.value"] = ProductCost(length, length, channels, probability, v)
    return products


def _attentions(model: Graph | Program, frames: int) -> Iterator[tuple[str, int, int, list[int], int]]:
    """Name, channels, T, bits of the five operands and of a probability, of every attention."""
    if isinstance(model, Graph):
        lengths = count_frames(model, frames)
        for node in model.nodes:
            if node.op == "attention":
                yield node.output, model.values[node.output].channels, lengths[node.output], [32] * 5, 32
    else:
        for step in model.steps:
            if isinstance(step, Attention):
                bits = [model.spec(name).type.bits for name in step.inputs]
                yield step.y, model.spec(step.y).channels, model.lengths[step.y].of(frames), bits, _PROBABILITY_BITS
