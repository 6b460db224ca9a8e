"""Equalisation: the same meaning, columns of one size, pairs with something between left alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.toy import toy_graph, toy_mel
from support.toy_networks import ToyBuilder

from zeroq_asr.errors import GraphError
from zeroq_asr.ir import Graph
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.cross_layer_equalization import equalize
from zeroq_asr.runtime.float_executor import FloatExecutor


def pair(between: str | None = None, read_twice: bool = False, groups: int = 1, spread: float = 1.0) -> Graph:
    b = ToyBuilder()
    x = b.conv(b.conv(b.mel, "in", 6, 8), "first", 8, 8, 5, groups=8)
    constants = b.graph._constants
    constants["first.w"] = constants["first.w"] * np.geomspace(1, spread, 8, dtype=np.float32)[:, None, None]
    y = b.conv(b.node(between, "between", x) if between else x, "second", 8, 8, groups=groups)
    return b.head(b.node("add", "add", y, x) if read_twice else b.node("relu", "relu", y))


def maps() -> Graph:
    """Depthwise, then dense, over feature maps, as a FastConformer begins."""
    b = ToyBuilder()
    x = b.conv2d(b.conv2d(b.mel, "in", 6, (1, 4)), "first", 3, (4, 4), groups=4)
    x = b.conv2d(x, "second", 2, (4, 8))
    return b.head(b.node("relu", "relu", x))


def maxima(graph: Graph, value: str, axes: tuple[int, ...]) -> np.ndarray:
    node = graph.producer(value)
    assert node is not None
    largest: np.ndarray = np.abs(graph.constants[node.inputs[1]]).max(axis=axes)
    return largest


def test_both_sides_of_every_channel_become_equal() -> None:
    graph = pair(spread=100.0)
    found = equalize(graph)
    np.testing.assert_allclose(maxima(found, "first", (1, 2)), maxima(found, "second", (0, 2)), rtol=1e-5)
    before, after = (np.ptp(np.log(maxima(g, "first", (1, 2)))) for g in (graph, found))
    assert after < before


@pytest.mark.parametrize("graph", [pair(), pair(groups=2), maps(), prepare(toy_graph())])
def test_the_meaning_stays(graph: Graph) -> None:
    found, mel = equalize(graph), toy_mel(0, 2, 60)
    assert tuple(found.values) == tuple(graph.values)
    assert any(not np.array_equal(found.constants[n], graph.constants.get(n, 0)) for n in found.constants)
    before, after = (FloatExecutor(g, dtype=torch.float64).run(mel)["logits"] for g in (graph, found))
    torch.testing.assert_close(after, before, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("graph", [pair(between="relu"), pair(between="swish"), pair(read_twice=True)])
def test_what_is_not_linear_or_read_elsewhere_is_left_alone(graph: Graph) -> None:
    found = equalize(graph)
    np.testing.assert_array_equal(maxima(found, "second", (0, 2)), maxima(graph, "second", (0, 2)))


def test_dead_channels_and_damaged_weights() -> None:
    graph = pair()
    dead = graph.constants["first.w"] * (np.arange(8) > 0)[:, None, None]
    found = equalize(graph.with_nodes(graph.nodes, graph.values, {**graph.constants, "first.w": dead}))
    assert all(np.isfinite(array).all() for array in found.constants.values())
    broken = {**graph.constants, "first.w": graph.constants["first.w"] * np.float32(np.inf)}
    with np.errstate(invalid="ignore"), pytest.raises(GraphError, match="not finite"):
        equalize(graph.with_nodes(graph.nodes, graph.values, broken))
