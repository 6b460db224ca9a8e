"""Where synthesis looks at the float graph: what remembers the statistics of its training data, and attention."""

from __future__ import annotations

import numpy as np

from synth.types import BatchNormTap
from zeroq_asr.ir.types import Graph


def find_batchnorm_taps(graph: Graph) -> tuple[BatchNormTap, ...]:
    """Return one tap for each BatchNorm, in execution order: the value it reads, its running mean and variance, its
    eps.

    The graph must be as the adapter made it: folding removes the BatchNorms.
    """
    taps = []
    for node in graph.nodes:
        if node.op == "batch_norm":
            value, mean, var = node.inputs[:3]
            eps = node.attrs["eps"]
            assert isinstance(eps, float)
            taps.append(
                BatchNormTap(
                    name=value,
                    mean=graph.constants[mean].astype(np.float32),
                    var=graph.constants[var].astype(np.float32),
                    eps=eps,
                )
            )
    return tuple(taps)


def find_attention_results(graph: Graph) -> tuple[str, ...]:
    """Return the values that attention makes, in execution order: where frames may grow alike."""
    return tuple(node.output for node in graph.nodes if node.op == "attention")
