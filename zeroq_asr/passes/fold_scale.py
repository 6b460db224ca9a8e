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

from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.passes.rebuild import fold_into_convolutions, folded_constant

ESTABLISHES = "no-scale-node"


def fold_scale(graph: Graph) -> Graph:
    """Return `graph` without scales. Raises GraphError where one does not follow a convolution of its own."""
    return fold_into_convolutions(graph, "scale", ("conv1d", "conv2d"), _fold, ESTABLISHES)


def _fold(convolution: Node, scale: Node, constants: dict[str, Array]) -> Node:
    factor = scale.attrs["factor"]
    assert isinstance(factor, float)
    names = []
    for role, name in zip(("weight", "bias"), convolution.inputs[1:], strict=False):
        names.append(f"{scale.output}.folded.{role}")
        constants[names[-1]] = folded_constant(scale.output, constants[name].astype(np.float64) * factor)
    return Node(convolution.op, (convolution.inputs[0], *names), scale.output, convolution.attrs, convolution.origin)
