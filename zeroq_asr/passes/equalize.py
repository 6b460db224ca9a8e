"""Equalization: the channels of a value, and the weights that read them, get ranges of one size.

Given:
    a group of values whose channels may take factors f_c > 0 (zeroq_asr.analyses.channel_groups)
Result:
    producers   W[c] f_c, b[c] f_c        W[c] / f_c, b[c] / f_c where the exponent is -1
    readers     W[:, c] / f_c

    f_c ~ (w_c / a_c)^(1/2),    a_c = max |x_c| over data,    w_c = max over readers, o, k of |W[o, c, k]| / s_o

a: of the values that are stored. s_o: standard deviation of the reader's output o over data. In an attention w_c =
max |k_c|, so that queries and keys get equal ranges. The ranges f_c a_c of a group have the geometric mean 1. This is
the equalization of Nagel et al. 2019 (DFQ, section 4.1) with the range of the activation in place of that of the
weights that make it, as in SmoothQuant (Xiao et al. 2023, equation 4, strength 1/2).

a_c w_c is a property of the function, not of the weights that write it: if the channels of a group are multiplied by t
and their readers divided by t, f is divided by t, and the result is the same. Exact in real arithmetic; computed in
float64, stored as float32; all names stay. A channel whose stored values are 0 (behind a ReLU) has the range before
them; one that nothing reads gets the range 1; one that is 0 everywhere keeps f = 1.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt

from zeroq_asr.analyses.channel_groups import ChannelGroup, find_channel_groups
from zeroq_asr.analyses.channel_spread import ChannelSpread
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.registry import CONVOLUTIONS, OPS
from zeroq_asr.ops.verify import verify
from zeroq_asr.passes.rebuild import folded_constant, rebuild

ESTABLISHES = "equalized"

Reals = npt.NDArray[np.float64]


def find_factors(graph: Graph, spreads: Mapping[str, ChannelSpread], stored: Collection[str]) -> dict[str, Reals]:
    """Return f of every value of a channel group of `graph`, float64 [C].

    spreads: those of its values. stored: the values whose ranges matter (`analyses.roles.find_code_values`).
    """
    factors = {}
    for group in find_channel_groups(graph):
        found = _group_factors(graph, group, spreads, stored)
        for name, exponent in group.values.items():
            factors[name] = (found**exponent).repeat(graph.values[name].channels // group.maps)
    return factors


def equalize(graph: Graph, factors: Mapping[str, Reals]) -> Graph:
    """Return `graph` with the values in `factors` multiplied by them and their readers divided. Raises GraphError."""
    constants: dict[str, Array] = dict(graph.constants)
    nodes = []
    for node in graph.nodes:
        if node.output in factors:
            node = _with_rows(node, factors[node.output], constants)
        if node.op in CONVOLUTIONS and node.inputs[0] in factors:
            node = _with_columns(node, factors[node.inputs[0]], constants)
        nodes.append(node)
    result = rebuild(graph, nodes, constants, ESTABLISHES)
    verify(result)
    return result


def _group_factors(
    graph: Graph, group: ChannelGroup, spreads: Mapping[str, ChannelSpread], stored: Collection[str]
) -> Reals:
    """f of the group, float64 [maps]."""
    made = _largest_peaks(group, spreads, 1, stored)
    read = _largest_peaks(group, spreads, -1, stored)
    for name in (name for name, exponent in group.values.items() if exponent == 1):
        for reader in graph.consumers(name):
            if reader.op in CONVOLUTIONS:
                weights = _relative_weights(graph, reader, spreads[reader.output].deviation)
                read = np.maximum(read, _by_map(weights, group.maps))
    alive, unread = (made > 0) & (read > 0), (made > 0) & (read == 0)
    made, read = np.log(np.where(made > 0, made, 1.0)), np.log(np.where(read > 0, read, 1.0))
    logs = np.zeros(group.maps)
    logs[alive] = (read - made)[alive] / 2 - (read + made)[alive].mean() / 2 if alive.any() else 0.0
    logs[unread] = -made[unread]
    return np.exp(logs)


def _largest_peaks(
    group: ChannelGroup, spreads: Mapping[str, ChannelSpread], exponent: int, stored: Collection[str]
) -> Reals:
    """The largest |x_c| of the group's values with this exponent: of those stored, or of all where these are 0."""
    names = [name for name, power in group.values.items() if power == exponent]
    peaks = {name: _by_map(spreads[name].peak, group.maps) for name in names}
    zero = np.zeros(group.maps)
    found = np.max([zero, *(peaks[name] for name in names if name in stored)], axis=0)
    largest: Reals = np.where(found > 0, found, np.max([zero, *peaks.values()], axis=0))
    return largest


def _by_map(x: Reals, maps: int) -> Reals:
    largest: Reals = x.reshape(maps, -1).max(axis=1)
    return largest


def _relative_weights(graph: Graph, node: Node, deviation: Reals) -> Reals:
    """max over o, k of |W[o, c, k]| / s_o of a convolution, float64 [channels or maps in]; outputs with s_o = 0 count
    nothing."""
    weight = np.abs(graph.constants[node.inputs[1]].astype(np.float64))
    weight = weight.reshape(*weight.shape[:2], -1).max(axis=2)
    spread = _by_map(deviation, len(weight))[:, None]
    relative = np.divide(weight, spread, out=np.zeros_like(weight), where=spread > 0)
    result: Reals = relative.reshape(node.integer("groups"), -1, weight.shape[1]).max(axis=1).ravel()
    return result


def _with_rows(node: Node, factors: Reals, constants: dict[str, Array]) -> Node:
    """`node` with the factors [C] of its value in the constants that take them: weight [O, ...], bias [O], ..."""
    op, names = OPS[node.op], list(node.inputs)
    operands = sum(name not in constants for name in names)
    for index, role in enumerate(op.constants[: len(names) - operands], operands):
        if op.is_convolution or role in op.factored:
            old = constants[names[index]].astype(np.float64)
            rows = factors.reshape(len(old), -1)[:, 0]
            names[index] = _store(node, role, old * rows.reshape(-1, *(1,) * (old.ndim - 1)), constants)
    return Node(node.op, tuple(names), node.output, node.attrs, node.origin)


def _with_columns(node: Node, factors: Reals, constants: dict[str, Array]) -> Node:
    """A convolution whose weight [O, C / groups, ...] is divided by the factors of the channels that it reads."""
    old, groups = constants[node.inputs[1]].astype(np.float64), node.integer("groups")
    columns = factors.reshape(groups * old.shape[1], -1)[:, 0].reshape(groups, old.shape[1])
    columns = columns.repeat(len(old) // groups, axis=0)
    name = _store(node, "weight", old / columns.reshape(*columns.shape, *(1,) * (old.ndim - 2)), constants)
    return Node(node.op, (node.inputs[0], name, *node.inputs[2:]), node.output, node.attrs, node.origin)


def _store(node: Node, role: str, array: Reals, constants: dict[str, Array]) -> str:
    name = f"{node.output}.equalized.{role}"
    constants[name] = folded_constant(node.output, array)
    return name
