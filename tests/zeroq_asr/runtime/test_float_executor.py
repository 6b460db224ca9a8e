"""The torch interpreter against plain torch, alone and in padded batches."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.toy import toy_graph, toy_mel

from zeroq_asr.errors import GraphError
from zeroq_asr.ir import Graph
from zeroq_asr.ops.base import real_attribute
from zeroq_asr.runtime.float_executor import FloatExecutor


def plain(graph: Graph, mel: np.ndarray) -> torch.Tensor:
    """The graph written with one-dimensional torch operations, in float64."""
    values = {graph.inputs[0]: torch.tensor(mel, dtype=torch.float64)}
    for node in graph.nodes:
        constants = [torch.tensor(graph.constants[n]).double() for n in node.inputs if n in graph.constants]
        x = values[node.inputs[0]]
        if node.op == "conv1d":
            bias = constants[1] if len(constants) > 1 else None
            a = [node.integer(n) for n in ("stride", "padding", "dilation", "groups")]
            values[node.output] = F.conv1d(x, constants[0], bias, *a)
        elif node.op == "batch_norm":
            mean, var, gamma, beta = constants
            values[node.output] = F.batch_norm(x, mean, var, gamma, beta, eps=real_attribute(node, "eps"))
        elif node.op == "relu":
            values[node.output] = x.clamp(min=0)
        else:
            values[node.output] = torch.stack([values[n] for n in node.inputs]).sum(dim=0)
    return values[graph.outputs[0]]


@pytest.mark.parametrize("frames", [1, 2, 17, 64])
def test_equals_plain_torch(frames: int) -> None:
    graph, mel = toy_graph(), toy_mel(1, 3, frames)
    result = FloatExecutor(graph).run(mel)["logits"]
    torch.testing.assert_close(result.double(), plain(graph, mel), atol=1e-5, rtol=1e-5)


def test_a_padded_row_gives_what_it_gives_alone() -> None:
    graph, executor = toy_graph(), FloatExecutor(toy_graph())
    mel = toy_mel(2, 2, 40)
    lengths = torch.tensor([40, 23])
    batch = executor.run(mel, lengths)["logits"]
    alone = executor.run(mel[1:, :, :23])["logits"]
    torch.testing.assert_close(batch[1:, :, : alone.shape[2]], alone, atol=1e-6, rtol=1e-6)
    unmasked = executor.run(mel)["logits"]
    assert not torch.allclose(unmasked[1, :, : alone.shape[2]], alone[0], atol=1e-3), (
        "the mask makes no difference here"
    )
    assert graph.outputs == ("logits",)


def test_keep_stops_early_and_gradients_reach_the_input() -> None:
    executor = FloatExecutor(toy_graph())
    mel = torch.tensor(toy_mel(3, 1, 20), requires_grad=True)
    seen: list[str] = []

    def note(name: str, value: torch.Tensor) -> torch.Tensor:
        seen.append(name)
        return value

    kept = executor.run(mel, keep=["c1.pw"], outputs=False, edit=note)
    assert set(kept) == {"c1.pw"}
    assert seen == ["mel", "c1.dw", "c1.pw"]
    torch.autograd.backward(kept["c1.pw"].square().mean())
    assert mel.grad is not None
    assert mel.grad.abs().sum() > 0


def test_edit_replaces_values() -> None:
    executor = FloatExecutor(toy_graph())
    result = executor.run(toy_mel(4, 1, 20), edit=lambda name, x: x * 0 if name == "c2.relu" else x)["logits"]
    torch.testing.assert_close(result[0, :, 0], torch.tensor(toy_graph().constants["head.bias"]))


def test_unknown_values_are_refused() -> None:
    with pytest.raises(GraphError, match="ghost"):
        FloatExecutor(toy_graph()).run(toy_mel(0, 1, 9), keep=["ghost"])
