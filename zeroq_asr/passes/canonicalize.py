"""The float graph as calibration and lowering want it: folded.

Given: the graph as the adapter made it
Result: fold_layer_norm(fold_scale(fold_batchnorm(graph)))
"""

from __future__ import annotations

from zeroq_asr.ir.types import Graph
from zeroq_asr.passes.fold_batchnorm import fold_batchnorm
from zeroq_asr.passes.fold_layer_norm import fold_layer_norm
from zeroq_asr.passes.fold_scale import fold_scale


def prepare(graph: Graph) -> Graph:
    """Return `graph` without BatchNorms and scales, with affine parts of LayerNorms in the linear layers behind them.

    Raises GraphError where a part has no convolution to go into.
    """
    return fold_layer_norm(fold_scale(fold_batchnorm(graph)))
