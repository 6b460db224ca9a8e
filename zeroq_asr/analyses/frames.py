"""How many frames each value has."""

from __future__ import annotations

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.ops import output_length
from zeroq_asr.ir.types import Graph


def count_frames(graph: Graph, frames: int) -> dict[str, int]:
    """Return T of every value when the input has `frames` frames. Raises GraphError where a value would be empty."""
    lengths = dict.fromkeys(graph.inputs, frames)
    for node in graph.nodes:
        length = lengths[node.inputs[0]]
        if "padding" in node.attrs:
            kernel = graph.constants[node.inputs[1]].shape[2]
            length = output_length(
                length, kernel, node.integer("stride"), node.integer("dilation"), node.integer("padding")
            )
            if length < 1:
                raise GraphError(f"node {node.output!r}: {frames} input frames leave none here; give a longer input")
        lengths[node.output] = length
    return lengths
