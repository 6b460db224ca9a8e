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

from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.passes.rebuild import fold_into_convolutions, folded_constant

ESTABLISHES = "no-batch-norm"


def fold_batchnorm(graph: Graph) -> Graph:
    """Return `graph` without BatchNorms. Raises GraphError where a BatchNorm does not follow a convolution of its
    own."""
    return fold_into_convolutions(graph, "batch_norm", ("conv1d",), _fold, ESTABLISHES)


def _fold(convolution: Node, norm: Node, constants: dict[str, Array]) -> Node:
    mean, var, gamma, beta = (constants[name].astype(np.float64) for name in norm.inputs[1:])
    eps = norm.attrs["eps"]
    assert isinstance(eps, float)
    factor = gamma / np.sqrt(var + eps)
    weight = constants[convolution.inputs[1]].astype(np.float64) * factor[:, None, None]
    bias = beta - mean * factor
    if len(convolution.inputs) == 3:
        bias = bias + constants[convolution.inputs[2]].astype(np.float64) * factor
    names = (f"{norm.output}.folded.weight", f"{norm.output}.folded.bias")
    for name, array in zip(names, (weight, bias), strict=True):
        constants[name] = folded_constant(norm.output, array)
    return Node("conv1d", (convolution.inputs[0], *names), norm.output, convolution.attrs, convolution.origin)
