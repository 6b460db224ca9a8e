"""Ranges and means from parameters alone: no data, no synthesis, one pass over the graph with means and variances.

Known for certain: a LayerNorm gives every frame mean 0 and variance 1 before its affine part; a BatchNorm gives each
channel mean beta and variance gamma^2 on data like the training's; the front end gives each mel bin mean 0 and variance
1; attention cannot leave the range of its values. Between these, channels and frames are taken to be independent normal
variables (Nagel et al. 2019, section 4.2.1 does so behind BatchNorms).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from zeroq_asr.analyses.channel_spread import ChannelSpread
from zeroq_asr.analyses.roles import Role, find_roles, is_depthwise_input, is_fixed
from zeroq_asr.config import ANALYTIC, QuantizeConfig
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.registry import OPS
from zeroq_asr.quant.ranges import Range, RangeTable


def analytic_ranges(
    trained: Graph,
    prepared: Graph,
    config: QuantizeConfig,
    *,
    roles: Mapping[str, Role] | None = None,
    factors: Mapping[str, Reals] | None = None,
) -> RangeTable:
    """Return the range of every stored value of `prepared`, from the parameters of `trained`, the graph before folding.

    It suits models whose blocks are normalised by LayerNorms or BatchNorms. roles: those of `find_roles` for
    `prepared`, computed here if None. factors: those that `prepared` was equalized with.
    """
    moments = propagate_moments(trained, prepared, factors)
    ranges = {}
    for name, role in (roles or find_roles(prepared, config.nonlinear)).items():
        if role in ("code", "stream") and not is_fixed(prepared, name, role):
            found = moments[name]
            limits = np.maximum(-found.lo, found.hi) if is_depthwise_input(prepared, name) else None
            ranges[name] = Range(float(found.lo.min()), float(found.hi.max()), 0, limits)
    return RangeTable(ranges, ANALYTIC)


def analytic_means(trained: Graph, prepared: Graph, factors: Mapping[str, Reals] | None = None) -> dict[str, Reals]:
    """Return E[x] of every value of `prepared`, float64 [C], for bias correction without data (DFQ, section 4.2.1)."""
    return {name: found.mean for name, found in propagate_moments(trained, prepared, factors).items()}


def analytic_spreads(trained: Graph, prepared: Graph) -> dict[str, ChannelSpread]:
    """Return the spread of every value of `prepared`, for equalization without data."""
    moments = propagate_moments(trained, prepared)
    return {name: ChannelSpread(np.maximum(-found.lo, found.hi), np.sqrt(found.var)) for name, found in moments.items()}


def propagate_moments(
    trained: Graph, prepared: Graph, factors: Mapping[str, Reals] | None = None
) -> dict[str, ChannelMoments]:
    """Return the moments of every value of `prepared`. factors: those that it was equalized with."""
    moments = {name: ChannelMoments.standard(prepared.values[name].channels) for name in prepared.inputs}
    norms = {node.output: node for node in trained.nodes if node.op == "batch_norm"}
    for node in prepared.nodes:
        if node.output in norms:
            gamma, beta = (trained.constants[name].astype(np.float64) for name in norms[node.output].inputs[3:5])
            factor = (factors or {}).get(node.output, np.ones(len(beta)))
            moments[node.output] = ChannelMoments.normal(factor * beta, np.square(factor * gamma))
        else:
            moments[node.output] = _step(prepared, node, moments)
    return moments


def _step(graph: Graph, node: Node, moments: Mapping[str, ChannelMoments]) -> ChannelMoments:
    operands = [moments[name] for name in node.inputs if name in moments]
    constants = [graph.constants[name].astype(np.float64) for name in node.inputs if name in graph.constants]
    return OPS[node.op].moments(graph, node, operands, constants)
