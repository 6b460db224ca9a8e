"""Channel groups: which values take a factor together, and that the function stays whatever the factors are."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.toy import toy_graph, toy_mel
from support.toy_networks import ToyBuilder, toy_citrinet, toy_conformer

from zeroq_asr.analyses.channel_groups import find_channel_groups
from zeroq_asr.ir import Graph
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.equalize import equalize
from zeroq_asr.runtime.float_executor import FloatExecutor


def members(graph: Graph) -> list[dict[str, int]]:
    return [dict(group.values) for group in find_channel_groups(graph)]


def test_a_residual_sum_ties_its_branches_and_what_it_feeds() -> None:
    b = ToyBuilder()
    x = b.conv(b.mel, "in", 6, 8)
    y = b.node("relu", "relu", b.node("add", "add", b.conv(x, "a", 8, 8), b.conv(x, "b", 8, 8)))
    assert members(b.head(y)) == [{"in": 1}, {"a": 1, "b": 1, "add": 1, "relu": 1}]


@pytest.mark.parametrize("op", ["swish", "sigmoid", "tanh", "gelu"])
def test_nothing_moves_through_a_function_that_is_not_homogeneous(op: str) -> None:
    b = ToyBuilder()
    assert members(b.head(b.node(op, "y", b.conv(b.mel, "in", 6, 8)))) == []


def test_input_and_output_of_the_model_are_fixed() -> None:
    b = ToyBuilder()
    assert members(b.head(b.conv(b.node("relu", "relu", b.mel, channels=6), "in", 6, 8))) == [{"in": 1}]


def test_a_product_with_itself_is_fixed() -> None:
    b = ToyBuilder()
    x = b.conv(b.mel, "in", 6, 8)
    assert members(b.head(b.node("glu", "glu", x, x))) == []


def test_queries_take_the_inverse_of_keys_and_positions() -> None:
    groups = members(prepare(toy_conformer()))
    assert {"0.att.q": 1, "0.att.qu": 1, "0.att.qv": 1, "0.att.k": -1, "0.att.p": -1} in groups
    assert {"0.att.v": 1, "0.att.out": 1} in groups
    assert {"0.conv.a": 1, "0.conv.glu": 1} in groups
    assert not any("0.conv.b" in group or "0.ff1.swish" in group or "0.ff1.add" in group for group in groups)


def test_feature_maps_have_one_factor_each() -> None:
    (group, *_) = find_channel_groups(prepare(toy_conformer()))
    assert set(group.values) == {"sub.0", "sub.relu"} and group.maps == 2


@pytest.mark.parametrize("graph", [toy_graph(), toy_conformer(), toy_citrinet()], ids=["conv", "attention", "gates"])
@pytest.mark.parametrize("prepared", [False, True])
def test_any_factors_leave_the_function_as_it_is(graph: Graph, prepared: bool) -> None:
    graph, rng = prepare(graph) if prepared else graph, np.random.default_rng(0)
    groups = find_channel_groups(graph)
    assert len(groups) >= 3
    factors = {}
    for group in groups:
        drawn = np.exp(rng.uniform(-4, 4, group.maps))
        for name, exponent in group.values.items():
            factors[name] = (drawn**exponent).repeat(graph.values[name].channels // group.maps)
    mel = toy_mel(0, 2, 60)
    executors = [FloatExecutor(g, dtype=torch.float64) for g in (graph, equalize(graph, factors))]
    before, after = (executor.run(mel, keep=list(factors)) for executor in executors)
    for name, value in before.items():
        expected = value * torch.tensor(factors.get(name, np.ones(1)))[:, None]
        torch.testing.assert_close(after[name], expected, atol=1e-5, rtol=2e-5)
