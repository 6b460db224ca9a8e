"""Ranges from parameters alone: moments against sampling, BatchNorms believed, and near what data gives."""

from __future__ import annotations

import numpy as np
import pytest
from support.toy import toy_graph
from support.toy_conformer import toy_conformer

from zeroq_asr.analyses.roles import find_code_values
from zeroq_asr.calibrate.analytic import analytic_means, analytic_ranges, analytic_spreads
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import ANALYTIC_REACH, QuantizeConfig
from zeroq_asr.ir import Graph
from zeroq_asr.ops import GraphBuilder
from zeroq_asr.ops.moments import ChannelMoments
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.equalize import equalize, find_factors
from zeroq_asr.runtime.float_executor import FloatExecutor

CONFIG = QuantizeConfig(range_method="minmax")


@pytest.mark.parametrize("graph", [toy_graph(), toy_conformer(layers=1)], ids=["quartznet", "conformer"])
def test_every_stored_value_gets_a_range_near_the_measured_one(graph: Graph) -> None:
    folded = prepare(graph)
    mel = np.random.default_rng(0).normal(size=(8, folded.values["mel"].channels, 200)).astype(np.float32)
    measured = calibrate(FloatExecutor(folded), [mel], CONFIG, "normal noise").ranges
    found = analytic_ranges(graph, folded, CONFIG)
    assert set(found.ranges) == set(measured)
    assign_qparams(folded, found, CONFIG)
    sizes = {n: np.log2(max(-r.lo, r.hi) / max(-measured[n].lo, measured[n].hi)) for n, r in found.ranges.items()}
    assert np.mean(np.abs(list(sizes.values()))) < 0.8
    limits = [(r.channel_limits is None, measured[n].channel_limits is None) for n, r in found.ranges.items()]
    assert all(a == b for a, b in limits)


def test_a_batchnorm_is_believed_whatever_comes_before() -> None:
    graph = toy_graph()
    norm = next(node for node in graph.nodes if node.op == "batch_norm" and node.output == "b1.0.bn")
    gamma, beta = (graph.constants[name].astype(float) for name in norm.inputs[3:5])
    found = analytic_ranges(graph, prepare(graph), CONFIG).ranges["b1.0.relu"]
    assert found.hi == pytest.approx((beta + ANALYTIC_REACH * np.abs(gamma)).max())
    assert found.lo == 0


def test_means_follow_what_the_batchnorms_remember() -> None:
    graph = toy_graph()
    folded, rng = prepare(graph), np.random.default_rng(0)
    found = analytic_means(graph, folded)
    assert set(found) == set(folded.values)
    mel = rng.normal(size=(8, folded.values["mel"].channels, 400)).astype(np.float32)
    sample = FloatExecutor(folded).run(mel, keep=["b1.0.relu"])["b1.0.relu"].mean(dim=(0, 2)).numpy()
    norm = next(node for node in graph.nodes if node.op == "batch_norm" and node.output == "b1.0.bn")
    assert np.corrcoef(found["b1.0.relu"], sample)[0, 1] > 0.6
    np.testing.assert_allclose(found["b1.0.bn"], graph.constants[norm.inputs[4]], rtol=1e-6)


@pytest.mark.parametrize("graph", [toy_graph(), toy_conformer(layers=1)], ids=["quartznet", "conformer"])
def test_ranges_and_means_follow_the_factors_of_equalization(graph: Graph) -> None:
    plain = prepare(graph)
    factors = find_factors(plain, analytic_spreads(graph, plain), find_code_values(plain))
    scaled = equalize(plain, factors)
    before, after = analytic_means(graph, plain), analytic_means(graph, scaled, factors)
    assert any(not np.allclose(factor, 1, rtol=0.1) for factor in factors.values())
    for name, mean in before.items():
        np.testing.assert_allclose(after[name], mean * factors.get(name, 1.0), rtol=1e-4, atol=1e-5)
    ranges = analytic_ranges(graph, scaled, CONFIG, factors=factors).ranges
    assert set(ranges) == set(analytic_ranges(graph, plain, CONFIG).ranges)


@pytest.mark.parametrize("op", ["relu", "sigmoid", "tanh", "swish", "gelu", "glu", "multiply", "add"])
def test_moments_are_those_of_a_sample(op: str) -> None:
    from zeroq_asr.calibrate.analytic import _step

    rng = np.random.default_rng(1)
    b = GraphBuilder()
    b.input("mel", 3)
    b.node("scale", ("mel",), "x", 3, factor=1.0)
    operands = ("mel", "x") if op in ("glu", "multiply", "add") else ("mel",)
    graph = b.build((b.node(op, operands, "y", 3),))
    mean, var = np.array([-1.0, 0.2, 2.0]), np.array([0.3, 1.0, 2.0])
    moments = {name: ChannelMoments.normal(mean, var) for name in ("mel", "x")}
    draws = {name: mean[:, None] + np.sqrt(var)[:, None] * rng.normal(size=(3, 200_000)) for name in operands}
    executor = FloatExecutor(b_of(op))
    fed = np.concatenate([draws[name] for name in operands]).astype(np.float32)
    sample = executor.run(fed[None])["y"][0].numpy() if len(operands) == 1 else _pairwise(op, draws)
    found = _step(graph, graph.nodes[-1], moments)
    np.testing.assert_allclose(found.mean, sample.mean(axis=1), atol=0.03)
    np.testing.assert_allclose(found.var, sample.var(axis=1), rtol=0.04, atol=0.01)


def b_of(op: str) -> Graph:
    b = GraphBuilder()
    x = b.input("mel", 3)
    return b.build((b.node(op, (x, x) if op in ("glu", "multiply", "add") else (x,), "y", 3),))


def _pairwise(op: str, draws: dict[str, np.ndarray]) -> np.ndarray:
    a, c = draws["mel"], draws["x"]
    results: dict[str, np.ndarray] = {"glu": a / (1 + np.exp(-c)), "multiply": a * c, "add": a + c}
    return results[op]
