"""Folding the affine part of LayerNorms: into all linear readers or not at all."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from support.toy import toy_mel
from support.toy_networks import ToyBuilder, toy_conformer

from zeroq_asr.errors import GraphError
from zeroq_asr.ir import Graph
from zeroq_asr.passes.fold_layer_norm import fold_layer_norm
from zeroq_asr.runtime.float_executor import FloatExecutor


def normed(kernel: int = 1, shared: bool = False) -> Graph:
    b = ToyBuilder()
    x = b.norm(b.conv(b.mel, "in", 6, 8), "norm")
    y = b.conv(x, "first", 8, 8, kernel)
    z = b.conv(x, "second", 8, 8)
    parts = (y, z, x) if shared else (y, z)
    return b.head(b.node("add", "add", *parts))


def test_the_affine_part_moves_into_all_linear_readers() -> None:
    graph, mel = normed(), toy_mel(0, 2, 30)
    folded = fold_layer_norm(graph)
    node = folded.producer("norm")
    assert node is not None
    assert node.inputs == ("in",)
    before, after = (FloatExecutor(g).run(mel, keep=["first", "norm"]) for g in (graph, folded))
    torch.testing.assert_close(after["first"], before["first"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after["logits"], before["logits"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(after["norm"].var(dim=1, correction=0), torch.ones(2, 30), atol=1e-3, rtol=0)


@pytest.mark.parametrize("graph", [normed(kernel=3), normed(shared=True)])
def test_other_readers_keep_it(graph: Graph) -> None:
    """Padding inserts a real 0, which beta would have to be added to; a residual needs gamma and beta itself."""
    folded = fold_layer_norm(graph)
    node = folded.producer("norm")
    assert node is not None
    assert len(node.inputs) == 3
    assert set(folded.constants) == set(graph.constants)


def test_the_residual_norm_of_a_conformer_stays_affine() -> None:
    folded = fold_layer_norm(toy_conformer(blocks=2))
    affine = {node.output for node in folded.nodes if node.op == "layer_norm" and len(node.inputs) == 3}
    assert affine == {"0.norm"}


def test_numbers_that_are_not_finite_are_refused() -> None:
    graph = normed()
    constants = {**graph.constants, "norm.gamma": np.full(8, np.inf, np.float32)}
    with pytest.raises(GraphError, match="not finite"):
        fold_layer_norm(graph.with_nodes(graph.nodes, graph.values, constants))
