"""Channel groups: sets of values whose channels can be multiplied by factors without a change of the model's function.

A factor f_c on channel c moves through operations that commute with it (ReLU, addition, mean, max pooling, the free
half of a GLU, the values of an attention) and is absorbed by the weights of the convolutions around the group:

    y = relu(W x + b)  ->  f y = relu(f W x + f b),      z = V y  ->  z = (V / f) (f y)

In an attention the queries take f where keys and positions take 1 / f: exponent 1 and -1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.registry import OPS


@dataclass(frozen=True)
class ChannelGroup:
    """values: name -> exponent of the factors, 1 or -1. maps: number of factors, each for channels / maps rows."""

    values: Mapping[str, int]
    maps: int


def find_channel_groups(graph: Graph) -> tuple[ChannelGroup, ...]:
    """Return the groups of `graph` whose factors are free, in execution order; a value is in at most one of them."""
    exponents: dict[str, dict[str, int]] = {name: {name: 1} for name in graph.values}  # value -> its group so far
    fixed = {*graph.inputs, *graph.outputs}
    for node in graph.nodes:
        values = [name for name in (*node.inputs, node.output) if name in graph.values]
        tied: set[str] = set()
        for tie in OPS[node.op].factor_ties(node):
            _join(exponents, fixed, tie)
            tied.update(tie)
        if not OPS[node.op].is_convolution:
            free = tied | {node.output} if OPS[node.op].factored else tied
            fixed.update(name for name in values if name not in free)
    groups = {id(group): group for group in exponents.values()}
    return tuple(
        ChannelGroup(group, _maps(graph, group))
        for group in groups.values()
        if fixed.isdisjoint(group) and _is_absorbed(graph, group)
    )


def _join(exponents: dict[str, dict[str, int]], fixed: set[str], tie: Mapping[str, int]) -> None:
    """Make one group of the groups of the values in `tie`. A contradiction (f = 1 / f) fixes the group."""
    (first, sign), *rest = tie.items()
    for name, exponent in rest:
        here, there = exponents[first], exponents[name]
        flip = sign * here[first] * exponent * there[name]  # there^flip has the exponents that the tie asks for
        if here is there:
            if flip != 1:
                fixed.add(first)
            continue
        for value, power in there.items():
            here[value] = power * flip
            exponents[value] = here


def _is_absorbed(graph: Graph, group: Mapping[str, int]) -> bool:
    """Tell whether something reads the group: a model without a reader has nothing to divide."""
    return any(node.output not in group for name in group for node in graph.consumers(name))


def _maps(graph: Graph, group: Mapping[str, int]) -> int:
    """Return the number of factors: channels, or maps where a conv2d makes or reads the group."""
    counts = {graph.values[name].channels for name in group}
    for name in group:
        for node in (graph.producer(name), *graph.consumers(name)):
            if node is not None and node.op == "conv2d":
                counts.add(_maps_of(graph, node, name))
    return min(counts)


def _maps_of(graph: Graph, node: Node, value: str) -> int:
    if node.output == value:
        return len(graph.constants[node.inputs[1]])
    return graph.values[value].channels // node.integer("height")
