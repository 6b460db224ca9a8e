"""Equalization: ranges of one size, and a result that does not depend on how the function was written."""

from __future__ import annotations

import numpy as np
import pytest
from support.toy import toy_graph, toy_mel
from support.toy_networks import ToyBuilder, toy_citrinet, toy_conformer

from zeroq_asr.analyses.channel_groups import find_channel_groups
from zeroq_asr.analyses.channel_spread import measure_spreads
from zeroq_asr.analyses.roles import find_code_values
from zeroq_asr.errors import GraphError
from zeroq_asr.ir import Graph
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.equalize import equalize, find_factors
from zeroq_asr.runtime.float_executor import FloatExecutor

GRAPHS = pytest.mark.parametrize(
    "graph", [toy_graph(), toy_conformer(), toy_citrinet()], ids=["conv", "attention", "gates"]
)


def equalized(graph: Graph) -> Graph:
    spreads = measure_spreads(FloatExecutor(graph), [toy_mel(1, 4, 80)])
    return equalize(graph, find_factors(graph, spreads, find_code_values(graph)))


def rewritten(graph: Graph, seed: int) -> Graph:
    """The same function: every fifth channel or so of every group times 1/100 to 100."""
    rng, factors = np.random.default_rng(seed), {}
    for group in find_channel_groups(graph):
        chosen = rng.random(group.maps) < 0.2
        drawn = np.where(chosen, np.exp(rng.uniform(-np.log(100), np.log(100), group.maps)), 1.0)
        for name, exponent in group.values.items():
            factors[name] = (drawn**exponent).repeat(graph.values[name].channels // group.maps)
    return equalize(graph, factors)


def weights(graph: Graph) -> list[np.ndarray]:
    return [graph.constants[name] for node in graph.nodes for name in node.inputs if name in graph.constants]


@GRAPHS
@pytest.mark.parametrize("seed", range(3))
def test_the_result_does_not_depend_on_how_the_function_is_written(graph: Graph, seed: int) -> None:
    graph = prepare(graph)
    expected, found = weights(equalized(graph)), weights(equalized(rewritten(graph, seed)))
    assert any(
        not np.allclose(a, b, rtol=0.5) for a, b in zip(weights(graph), weights(rewritten(graph, seed)), strict=True)
    )
    for a, b in zip(expected, found, strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-3, atol=1e-6)


@GRAPHS
def test_a_second_time_changes_nothing(graph: Graph) -> None:
    once = equalized(prepare(graph))
    for a, b in zip(weights(once), weights(equalized(once)), strict=True):
        np.testing.assert_allclose(b, a, rtol=1e-4, atol=1e-7)


def test_range_of_the_activation_and_of_its_relative_weights_become_equal() -> None:
    b = ToyBuilder()
    graph = b.head(b.node("relu", "relu", b.conv(b.mel, "in", 6, 8)))
    found = equalized(graph)
    spreads = measure_spreads(FloatExecutor(found), [toy_mel(1, 4, 80)])
    weight = np.abs(found.constants[found.nodes[-1].inputs[1]][:, :, 0])
    read = (weight / spreads["logits"].deviation[:, None]).max(axis=0)
    ratio = read / spreads["relu"].peak
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


def test_queries_and_keys_get_equal_ranges() -> None:
    found = equalized(prepare(toy_conformer()))
    spreads = measure_spreads(FloatExecutor(found), [toy_mel(1, 4, 80)])
    queries = np.maximum(spreads["0.att.qu"].peak, spreads["0.att.qv"].peak)
    ratio = queries / np.maximum(spreads["0.att.k"].peak, spreads["0.att.p"].peak)
    np.testing.assert_allclose(ratio, ratio[0], rtol=1e-4)


def test_dead_channels_have_finite_factors_and_damaged_weights_are_refused() -> None:
    b = ToyBuilder()
    graph = b.head(b.node("relu", "relu", b.conv(b.mel, "in", 6, 8)))
    dead = {name: graph.constants[name].copy() for name in ("in.w", "in.b")}
    dead["in.w"][0], dead["in.b"][0] = 0, -1
    graph = graph.with_nodes(graph.nodes, graph.values, {**graph.constants, **dead})
    spreads = measure_spreads(FloatExecutor(graph), [toy_mel(1, 4, 80)])
    factors = find_factors(graph, spreads, ["relu"])
    assert spreads["relu"].peak[0] == 0 and spreads["in"].peak[0] == 1
    assert all(np.isfinite(factor).all() and (factor > 0).all() for factor in factors.values())
    broken = {**graph.constants, "in.w": np.full((8, 6, 1), np.inf, np.float32)}
    with pytest.raises(GraphError, match="not finite"):
        equalize(graph.with_nodes(graph.nodes, graph.values, broken), factors)
