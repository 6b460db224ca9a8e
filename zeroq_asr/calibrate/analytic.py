"""Ranges and means from parameters alone: no data, no synthesis, one pass over the graph with means and variances.

Known for certain: a LayerNorm gives every frame mean 0 and variance 1 before its affine part; a BatchNorm gives each
channel mean beta and variance gamma^2 on data like the training's; the front end gives each mel bin mean 0 and variance
1; attention cannot leave the range of its values. Between these, channels and frames are taken to be independent normal
variables (Nagel et al. 2019, section 4.2.1 does so behind BatchNorms).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroq_asr.analyses.roles import CONVOLUTIONS, find_roles, is_depthwise_input, is_fixed
from zeroq_asr.config import ANALYTIC, QuantizeConfig
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.quant.ranges import Range, RangeTable

Floats = npt.NDArray[np.float64]

REACH = 5.0
"""Standard deviations that a range covers on each side: activations have heavier tails than normal variables."""

_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(33)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class Belief:
    """What is believed of a value: mean, variance and clipping range of each channel, float64 [C] each."""

    mean: Floats
    var: Floats
    lo: Floats
    hi: Floats

    @classmethod
    def normal(cls, mean: Floats, var: Floats) -> Belief:
        """mean +- REACH standard deviations."""
        reach = REACH * np.sqrt(var)
        return cls(mean, var, mean - reach, mean + reach)


def analytic_ranges(trained: Graph, prepared: Graph, config: QuantizeConfig) -> RangeTable:
    """Return the range of every stored value of `prepared`, from the parameters of `trained`, the graph before folding.

    Made for models whose blocks are held by LayerNorms or BatchNorms.
    """
    beliefs = _believe(trained, prepared)
    ranges = {}
    for name, role in find_roles(prepared, config.nonlinear).items():
        if role in ("code", "stream") and not is_fixed(prepared, name, role):
            found = beliefs[name]
            limits = np.maximum(-found.lo, found.hi) if is_depthwise_input(prepared, name) else None
            ranges[name] = Range(float(found.lo.min()), float(found.hi.max()), 0, limits)
    return RangeTable(ranges, ANALYTIC)


def analytic_means(trained: Graph, prepared: Graph) -> dict[str, Floats]:
    """Return E[x] of every value of `prepared`, float64 [C], for bias correction without data (DFQ, section 4.2.1)."""
    return {name: belief.mean for name, belief in _believe(trained, prepared).items()}


def _believe(trained: Graph, prepared: Graph) -> dict[str, Belief]:
    """What is believed of every value of `prepared`."""
    beliefs = {name: _unit(prepared.values[name].channels) for name in prepared.inputs}
    norms = {node.output: node for node in trained.nodes if node.op == "batch_norm"}
    if "equalized" in prepared.facts:  # what a convolution reads from another has other scales now
        norms = {name: node for name, node in norms.items() if not _is_between_convolutions(prepared, name)}
    for node in prepared.nodes:
        if node.output in norms:
            gamma, beta = (trained.constants[name].astype(np.float64) for name in norms[node.output].inputs[3:5])
            beliefs[node.output] = Belief.normal(beta, gamma**2)
        else:
            beliefs[node.output] = _step(prepared, node, beliefs)
    return beliefs


def _is_between_convolutions(graph: Graph, value: str) -> bool:
    return any(reader.op in CONVOLUTIONS for reader in graph.consumers(value))


def _unit(channels: int) -> Belief:
    return Belief.normal(np.zeros(channels), np.ones(channels))


def _step(graph: Graph, node: Node, beliefs: Mapping[str, Belief]) -> Belief:
    operands = [beliefs[name] for name in node.inputs if name in beliefs]
    constants = [graph.constants[name].astype(np.float64) for name in node.inputs if name in graph.constants]
    x, channels = operands[0], graph.values[node.output].channels
    producer = graph.producer(node.inputs[0])
    if node.op == "conv1d" and producer is not None and producer.op == "positions":
        return _of_positions(constants[0][:, :, 0])
    if node.op in ("conv1d", "conv2d"):
        return _convolve(node, x, constants, channels)
    if node.op in _FUNCTIONS:
        return _apply(_FUNCTIONS[node.op], x)
    if node.op == "layer_norm":
        gamma = constants[0] if constants else np.ones(channels)
        return Belief.normal(constants[1] if len(constants) > 1 else np.zeros(channels), gamma**2)
    if node.op == "attention":
        return operands[3]
    if node.op == "positions":
        one = np.ones(channels)
        return Belief(0 * one, one / 2, -one, one)
    if node.op == "mean":
        return x
    if node.op == "add_bias":
        return Belief(x.mean + constants[0], x.var, x.lo + constants[0], x.hi + constants[0])
    if node.op in ("multiply", "glu"):
        return _product(x, operands[1] if node.op == "multiply" else _apply(_FUNCTIONS["sigmoid"], operands[1]))
    return Belief.normal(sum((o.mean for o in operands), 0 * x.mean), sum((o.var for o in operands), 0 * x.var))


def _convolve(node: Node, x: Belief, constants: list[Floats], channels: int) -> Belief:
    """E y = sum w E x + b, V y = sum w^2 V x, every tap an independent draw."""
    weight, groups = constants[0], node.integer("groups")
    bias = constants[1] if len(constants) > 1 else np.zeros(weight.shape[0])
    if node.op == "conv1d":
        sums, squares = weight.sum(axis=2), np.square(weight).sum(axis=2)  # [O, C / g]
        parts = (weight.shape[0] // groups, weight.shape[1])

        def gather(w: Floats, v: Floats) -> Floats:
            made: Floats = np.einsum("goc,gc->go", w.reshape(groups, *parts), v.reshape(groups, parts[1])).ravel()
            return made

        return Belief.normal(gather(sums, x.mean) + bias, gather(squares, x.var))
    height, rows = node.integer("height"), channels // weight.shape[0]
    stride, padding = node.integer("stride_h"), node.integer("padding_h")

    def rows_of(w: Floats, v: Floats) -> Floats:
        """w [O, C / g, KH], v [C * H] -> [O, H']."""
        maps = np.pad(v.reshape(groups, -1, height), ((0, 0), (0, 0), (padding, padding)))
        kernels = w.reshape(groups, -1, *w.shape[1:])
        windows = [maps[:, :, row * stride : row * stride + w.shape[2]] for row in range(rows)]
        made: Floats = np.stack([np.einsum("gock,gck->go", kernels, window).ravel() for window in windows], axis=1)
        return made

    mean = rows_of(weight.sum(axis=3), x.mean) + bias[:, None]
    return Belief.normal(mean.ravel(), rows_of(np.square(weight).sum(axis=3), x.var).ravel())


def _of_positions(weight: Floats) -> Belief:
    """What a layer without bias makes of the sinusoids: no chance in it, extremes over |p| < 1000."""
    channels = weight.shape[1]
    angles = np.arange(-999, 1000) * 10000.0 ** (-np.arange(0, channels, 2) / channels)[:, None]
    made = weight @ np.stack((np.sin(angles), np.cos(angles)), axis=1).reshape(channels, -1)
    return Belief(made.mean(axis=1), made.var(axis=1), made.min(axis=1), made.max(axis=1))


def _apply(function: Callable[[Floats], Floats], x: Belief) -> Belief:
    """Moments by Gauss-Hermite quadrature, the range from a fine grid over the operand's."""
    draws = function(x.mean[:, None] + np.sqrt(x.var)[:, None] * _POINTS)
    mean = draws @ _WEIGHTS
    grid = function(x.lo[:, None] + (x.hi - x.lo)[:, None] * np.linspace(0, 1, 129))
    return Belief(mean, np.square(draws) @ _WEIGHTS - mean**2, grid.min(axis=1), grid.max(axis=1))


def _product(a: Belief, b: Belief) -> Belief:
    mean = a.mean * b.mean
    var = (a.var + a.mean**2) * (b.var + b.mean**2) - mean**2
    ends = np.stack([p * q for p in (a.lo, a.hi) for q in (b.lo, b.hi)])
    return Belief(mean, var, ends.min(axis=0), ends.max(axis=0))


def _sigmoid(x: Floats) -> Floats:
    result: Floats = 0.5 * (1 + np.tanh(0.5 * x))
    return result


def _gelu(x: Floats) -> Floats:
    result: Floats = x * _sigmoid(1.5957691216 * (x + 0.044715 * x**3))
    return result


_FUNCTIONS: Mapping[str, Callable[[Floats], Floats]] = {
    "relu": lambda x: np.maximum(x, 0.0),
    "sigmoid": _sigmoid,
    "tanh": np.tanh,
    "swish": lambda x: x * _sigmoid(x),
    "gelu": _gelu,
}
