"""The values of a float graph that synthesis matches: inputs of BatchNorms, with their statistics, and attention."""

from __future__ import annotations

import numpy as np

from synth.types import BatchNormStatistics
from zeroq_asr.ir.types import Graph


def find_batchnorm_statistics(graph: Graph) -> tuple[BatchNormStatistics, ...]:
    """Return the running statistics of every BatchNorm, in execution order, with the value that it reads and its eps.

    The graph must be as the adapter made it, because folding removes the BatchNorms.
    """
    found = []
    for node in graph.nodes:
        if node.op == "batch_norm":
            value, mean, var = node.inputs[:3]
            eps = node.attrs["eps"]
            assert isinstance(eps, float)
            found.append(
                BatchNormStatistics(
                    name=value,
                    mean=graph.constants[mean].astype(np.float32),
                    var=graph.constants[var].astype(np.float32),
                    eps=eps,
                )
            )
    return tuple(found)


def find_attention_results(graph: Graph) -> tuple[str, ...]:
    """Return the outputs of attention, in execution order; their frames may become too similar."""
    return tuple(node.output for node in graph.nodes if node.op == "attention")
