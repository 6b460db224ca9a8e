"""How many frames each value has."""

from __future__ import annotations

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.ops import output_length
from zeroq_asr.ir.types import Graph, Node


def count_frames(graph: Graph, frames: int) -> dict[str, int]:
    """Return T of every value when the input has `frames` frames. Raises GraphError where a value would be empty.

    The relative positions of L frames are 2 L - 1; a mean over time has length 1.
    """
    lengths = dict.fromkeys(graph.inputs, frames)
    for node in graph.nodes:
        length = _length_after(graph, node, lengths[node.inputs[0]])
        if length < 1:
            raise GraphError(f"node {node.output!r}: {frames} input frames leave none here; give a longer input")
        lengths[node.output] = length
    return lengths


def _length_after(graph: Graph, node: Node, length: int) -> int:
    """Return T of a node's output when its first operand has `length` frames."""
    if node.op == "mean":
        return 1
    if node.op == "positions":
        return 2 * length - 1
    if node.op == "conv2d":
        kernel = graph.constants[node.inputs[1]].shape[3]
        return output_length(length, kernel, node.integer("stride_t"), 1, node.integer("padding_t"))
    if "padding" in node.attrs:
        kernel = graph.constants[node.inputs[1]].shape[2]
        geometry = (node.integer(name) for name in ("stride", "dilation", "padding"))
        return output_length(length, kernel, *geometry)
    return length
