"""What the convolutions of a graph cost."""

from __future__ import annotations

from eval.cost import ConvCost
from int_kernels.int_type import IntType
from zeroq_asr.analyses.frames import count_frames
from zeroq_asr.ir.types import Graph

PAPER_FRAMES = 1001
"""10 seconds at a hop of 10 ms, counted as the paper's table 1 counts them."""


def count_costs(graph: Graph, frames: int = PAPER_FRAMES) -> dict[str, ConvCost]:
    """Return the cost of every convolution for an input of `frames` frames, by the name of its output value.

    A float graph counts 32 bits for weights and activations, an integer graph the bits of its codes.
    """
    lengths = count_frames(graph, frames)
    costs = {}
    for node in graph.nodes:
        if node.op in ("conv1d", "accumulate"):
            shape = graph.constants[node.inputs[1]].shape
            type = graph.values[node.inputs[0]].type
            activation_bits = type.bits if isinstance(type, IntType) else 32
            weight_bits = node.integer("bits") if "bits" in node.attrs else 32
            costs[node.output] = ConvCost(
                shape[0], shape[1], shape[2], lengths[node.output], weight_bits, activation_bits
            )
    return costs
