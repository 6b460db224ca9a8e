"""How many frames each value has."""

from __future__ import annotations

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Graph
from zeroq_asr.ops.registry import OPS


def count_frames(graph: Graph, frames: int) -> dict[str, int]:
    """Return T of every value when the input has `frames` frames. Raises GraphError where a value would be empty.

    The relative positions of L frames are 2 L - 1; a mean over time has length 1.
    """
    lengths = dict.fromkeys(graph.inputs, frames)
    for node in graph.nodes:
        length = OPS[node.op].frames(graph, node, lengths[node.inputs[0]])
        if length < 1:
            raise GraphError(f"node {node.output!r}: {frames} input frames leave none here; give a longer input")
        lengths[node.output] = length
    return lengths
