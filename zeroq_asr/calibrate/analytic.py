"""Ranges and means from parameters alone: no data, no synthesis, one pass over the graph with means and variances.

Known for certain: a LayerNorm gives every frame mean 0 and variance 1 before its affine part; a BatchNorm gives each
channel mean beta and variance gamma^2 on data like the training's; the front end gives each mel bin mean 0 and variance
1; attention cannot leave the range of its values. Between these, channels and frames are taken to be independent normal
variables (Nagel et al. 2019, section 4.2.1 does so behind BatchNorms).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zeroq_asr.analyses.roles import CONVOLUTIONS, Role, find_roles, is_depthwise_input, is_fixed
from zeroq_asr.config import ANALYTIC, QuantizeConfig
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.registry import OPS
from zeroq_asr.quant.ranges import Range, RangeTable


def analytic_ranges(
    trained: Graph, prepared: Graph, config: QuantizeConfig, *, roles: Mapping[str, Role] | None = None
) -> RangeTable:
    """Return the range of every stored value of `prepared`, from the parameters of `trained`, the graph before folding.

    It suits models whose blocks are normalised by LayerNorms or BatchNorms. roles: those of `find_roles` for
    `prepared`, computed here if None.
    """
    moments = propagate_moments(trained, prepared)
    ranges = {}
    for name, role in (roles or find_roles(prepared, config.nonlinear)).items():
        if role in ("code", "stream") and not is_fixed(prepared, name, role):
            found = moments[name]
            limits = np.maximum(-found.lo, found.hi) if is_depthwise_input(prepared, name) else None
            ranges[name] = Range(float(found.lo.min()), float(found.hi.max()), 0, limits)
    return RangeTable(ranges, ANALYTIC)


def analytic_means(trained: Graph, prepared: Graph) -> dict[str, Reals]:
    """Return E[x] of every value of `prepared`, float64 [C], for bias correction without data (DFQ, section 4.2.1)."""
    return {name: found.mean for name, found in propagate_moments(trained, prepared).items()}


def propagate_moments(trained: Graph, prepared: Graph) -> dict[str, ChannelMoments]:
    """Return the moments of every value of `prepared`."""
    moments = {name: ChannelMoments.standard(prepared.values[name].channels) for name in prepared.inputs}
    norms = {node.output: node for node in trained.nodes if node.op == "batch_norm"}
    if "equalized" in prepared.facts:  # what a convolution reads from another has other scales now
        norms = {name: node for name, node in norms.items() if not _is_between_convolutions(prepared, name)}
    for node in prepared.nodes:
        if node.output in norms:
            gamma, beta = (trained.constants[name].astype(np.float64) for name in norms[node.output].inputs[3:5])
            moments[node.output] = ChannelMoments.normal(beta, gamma**2)
        else:
            moments[node.output] = _step(prepared, node, moments)
    return moments


def _is_between_convolutions(graph: Graph, value: str) -> bool:
    return any(reader.op in CONVOLUTIONS for reader in graph.consumers(value))


def _step(graph: Graph, node: Node, moments: Mapping[str, ChannelMoments]) -> ChannelMoments:
    operands = [moments[name] for name in node.inputs if name in moments]
    constants = [graph.constants[name].astype(np.float64) for name in node.inputs if name in graph.constants]
    return OPS[node.op].moments(graph, node, operands, constants)
