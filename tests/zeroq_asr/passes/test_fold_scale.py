"""Folding of scales: none left, the same meaning, refusals with a reason."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from support.toy import toy_mel
from support.toy_networks import toy_conformer

from zeroq_asr.errors import GraphError
from zeroq_asr.ir import Graph
from zeroq_asr.ir.text import print_graph
from zeroq_asr.ops import GraphBuilder
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.passes.fold_scale import fold_scale
from zeroq_asr.runtime.float_executor import FloatExecutor

CONV: dict[str, Any] = {"stride": 1, "dilation": 1, "padding": 0, "groups": 1, "masked": 0}


def scaled(factor: float = 0.5, consumers: int = 1) -> Graph:
    b = GraphBuilder()
    b.input("mel", 1)
    b.constant("w", np.full((1, 1, 1), 3.0, np.float32))
    b.constant("b", np.array([4.0], np.float32))
    b.node("conv1d", ("mel", "w", "b"), "conv", 1, **CONV)
    b.node("scale", ("conv",), "half", 1, factor=factor)
    for index in range(consumers - 1):
        b.node("relu", ("conv",), f"relu{index}", 1)
    return b.build(("half",))


def test_given_and_result() -> None:
    folded = fold_scale(scaled())
    assert print_graph(folded) == (
        "float graph (mel: float32[1]) -> (half)\n"
        "  half = conv1d(mel, half.folded.weight[1,1,1], half.folded.bias[1]) "
        "stride=1 dilation=1 padding=0 groups=1 masked=0 : float32[1]\n"
    )
    assert (folded.constants["half.folded.weight"].item(), folded.constants["half.folded.bias"].item()) == (1.5, 2.0)
    assert folded.nodes[0].origin == "conv"


def test_a_prepared_conformer_means_the_same() -> None:
    graph, mel = toy_conformer(blocks=2), toy_mel(5, 2, 60)
    prepared = prepare(graph)
    assert not {node.op for node in prepared.nodes} & {"scale", "batch_norm"}
    before, after = (FloatExecutor(g).run(mel, keep=["0.ff1.add", "1.norm"]) for g in (graph, prepared))
    for name in ("0.ff1.add", "logits"):
        torch.testing.assert_close(after[name], before[name], atol=1e-4, rtol=1e-4)


def test_what_cannot_be_folded_is_refused() -> None:
    with pytest.raises(GraphError, match=r"only this scale reads.*2 consumer"):
        fold_scale(scaled(consumers=2))
    with pytest.raises(GraphError, match="not finite"):
        fold_scale(scaled(factor=1e39))
    b = GraphBuilder()
    b.input("mel", 1)
    b.node("scale", ("mel",), "half", 1, factor=0.5)
    with pytest.raises(GraphError, match="graph input"):
        fold_scale(b.build(("half",)))
