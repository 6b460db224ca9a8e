"""Folding: no BatchNorm left, the same meaning, nothing else touched."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.toy import toy_graph, toy_mel

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.text import print_graph
from zeroq_asr.ops import GraphBuilder
from zeroq_asr.passes.fold_batchnorm import fold_batchnorm
from zeroq_asr.runtime.float_executor import FloatExecutor

CONV: dict[str, Any] = {"stride": 1, "dilation": 1, "padding": 0, "groups": 1, "masked": 1}


def with_norm(consumers: int = 1, eps: float = 0.5) -> GraphBuilder:
    b = GraphBuilder()
    b.input("mel", 1)
    b.constant("w", np.full((1, 1, 1), 3.0, np.float32))
    b.constant("mean", np.array([1.0], np.float32))
    b.constant("var", np.array([3.5], np.float32))
    b.constant("gamma", np.array([4.0], np.float32))
    b.constant("beta", np.array([-1.0], np.float32))
    b.node("conv1d", ("mel", "w"), "conv", 1, **CONV)
    b.node("batch_norm", ("conv", "mean", "var", "gamma", "beta"), "bn", 1, eps=eps)
    for index in range(consumers - 1):
        b.node("relu", ("conv",), f"relu{index}", 1)
    return b


def test_given_and_result() -> None:
    folded = fold_batchnorm(with_norm().build(("bn",)))
    assert print_graph(folded) == (
        "float graph (mel: float32[1]) -> (bn)\n"
        "  bn = conv1d(mel, bn.folded.weight[1,1,1], bn.folded.bias[1]) "
        "stride=1 dilation=1 padding=0 groups=1 masked=1 : float32[1]\n"
    )
    # k = 4 / sqrt(3.5 + 0.5) = 2: weight 3 * 2, bias -1 - 1 * 2
    assert folded.constants["bn.folded.weight"].item() == 6
    assert folded.constants["bn.folded.bias"].item() == -3
    assert folded.nodes[0].origin == "conv"


def test_the_meaning_stays() -> None:
    graph, mel = toy_graph(), toy_mel(5, 2, 50)
    folded = fold_batchnorm(graph)
    assert all(node.op != "batch_norm" for node in folded.nodes)
    before, after = (FloatExecutor(g).run(mel, keep=["b1.relu"]) for g in (graph, folded))
    for name in before:
        torch.testing.assert_close(after[name], before[name], atol=2e-5, rtol=1e-4)


def test_each_batchnorm_keeps_its_own_eps() -> None:
    small, large = (fold_batchnorm(with_norm(eps=eps).build(("bn",))) for eps in (0.5, 12.5))
    assert large.constants["bn.folded.weight"].item() == 3
    assert small.constants["bn.folded.weight"].item() == 6


def test_a_graph_without_batchnorm_is_unchanged() -> None:
    once = fold_batchnorm(toy_graph())
    twice = fold_batchnorm(once)
    assert print_graph(twice) == print_graph(once)


def test_a_shared_convolution_is_refused() -> None:
    with pytest.raises(GraphError, match=r"only this batch_norm reads.*2 consumer"):
        fold_batchnorm(with_norm(consumers=2).build(("bn",)))


def test_a_batchnorm_on_the_input_is_refused() -> None:
    b = GraphBuilder()
    b.input("mel", 1)
    for name in ("mean", "var", "gamma", "beta"):
        b.constant(name, np.ones(1, np.float32))
    b.node("batch_norm", ("mel", "mean", "var", "gamma", "beta"), "bn", 1, eps=1e-3)
    with pytest.raises(GraphError, match="graph input"):
        fold_batchnorm(b.build(("bn",)))
