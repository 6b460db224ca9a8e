"""Attention operations of float graphs: against NeMo's own encoder, in padded batches, and backwards."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from support.toy_conformer import N_MELS, toy_conformer

from zeroq_asr.errors import GraphError
from zeroq_asr.ir import Graph
from zeroq_asr.ops import GraphBuilder
from zeroq_asr.ops.attention import shift_relative
from zeroq_asr.ops.positions import relative_positions
from zeroq_asr.runtime.float_executor import FloatExecutor

ENCODER = {
    "feat_in": N_MELS,
    "n_layers": 2,
    "d_model": 16,
    "subsampling": "striding",
    "subsampling_factor": 4,
    "subsampling_conv_channels": 4,
    "n_heads": 2,
    "self_attention_model": "rel_pos",
    "xscaling": True,
    "conv_kernel_size": 7,
}


def mels(seed: int, batch: int, frames: int) -> torch.Tensor:
    return torch.tensor(np.random.default_rng(seed).normal(size=(batch, N_MELS, frames)), dtype=torch.float32)


def nemo_weights(graph: Graph) -> dict[str, torch.Tensor]:
    """The constants of the toy as NeMo's encoder names and shapes them."""
    weights = {}
    for name, array in graph.constants.items():
        tensor = torch.tensor(array)
        if "pre_encode.conv" in name and tensor.ndim == 4:
            tensor = tensor.transpose(2, 3)  # NeMo's maps are [time, mel]
        elif tensor.ndim == 3 and "pointwise" not in name and "depthwise" not in name:
            tensor = tensor.squeeze(2)
        elif "pos_bias" in name:
            tensor = tensor.view(2, -1)
        weights[name] = tensor
    for name in [name for name in weights if ".pointwise_conv1.a." in name]:
        weights[name.replace(".a.", ".")] = torch.cat((weights.pop(name), weights.pop(name.replace(".a.", ".b."))))
    head = [name for name in weights if name.startswith("logits")]
    return {name: tensor for name, tensor in weights.items() if name not in head}


@pytest.mark.nemo
def test_equals_nemo_alone_and_padded() -> None:
    from nemo.collections.asr.modules import ConformerEncoder

    graph = toy_conformer(1)
    encoder = ConformerEncoder(**ENCODER).eval()
    missing, unexpected = encoder.load_state_dict(nemo_weights(graph), strict=False)
    assert not unexpected
    assert all(name.endswith("num_batches_tracked") for name in missing)
    mel, lengths = mels(0, 3, 83), torch.tensor([83, 61, 9])
    last = "layers.1.norm_out"
    executor = FloatExecutor(graph)
    ours = executor.run(mel, lengths, keep=[last], outputs=False)[last]
    with torch.inference_mode():
        theirs, counts = encoder(audio_signal=mel, length=lengths)
    for row, count in enumerate(counts.tolist()):
        torch.testing.assert_close(ours[row, :, :count], theirs[row, :, :count], atol=2e-5, rtol=1e-5)
        alone = executor.run(mel[row : row + 1, :, : lengths[row]], keep=[last], outputs=False)[last]
        torch.testing.assert_close(ours[row : row + 1, :, :count], alone, atol=2e-5, rtol=1e-5)


@pytest.mark.parametrize("frames", [1, 2, 3, 4, 5, 37])
def test_a_padded_row_gives_what_it_gives_alone(frames: int) -> None:
    executor, mel = FloatExecutor(toy_conformer(2)), mels(1, 2, 40)
    padded = executor.run(mel, torch.tensor([40, frames]))["logits"]
    alone = executor.run(mel[1:, :, :frames])["logits"]
    torch.testing.assert_close(padded[1:, :, : alone.shape[2]], alone, atol=2e-5, rtol=1e-5)
    assert not torch.allclose(executor.run(mel)["logits"][1:, :, : alone.shape[2]], alone, atol=1e-3), "no mask needed"


def test_gradients_are_right() -> None:
    executor = FloatExecutor(toy_conformer(3, width=4, layers=1, kernel=3, maps=2), dtype=torch.float64)
    mel = mels(2, 1, 9).double().requires_grad_()
    lengths = torch.tensor([7])
    assert torch.autograd.gradcheck(lambda x: executor.run(x, lengths)["logits"][..., :2], (mel,))


@pytest.mark.parametrize("frames", [1, 2, 5, 12])
def test_shift_relative_is_its_formula(frames: int) -> None:
    scores = torch.randn(2, 3, frames, 2 * frames - 1)
    shifted = shift_relative(scores)
    for i in range(frames):
        for j in range(frames):
            assert torch.equal(shifted[:, :, i, j], scores[:, :, i, frames - 1 - i + j])


def test_positions_are_sinusoids() -> None:
    table = relative_positions(6, 4)
    assert table.shape == (7, 6)
    for row, p in enumerate(range(3, -4, -1)):
        for d in range(3):
            angle = p / 10000 ** (2 * d / 6)
            assert table[row, 2 * d : 2 * d + 2].tolist() == pytest.approx([math.sin(angle), math.cos(angle)], abs=1e-6)


def one_node(op: str, operands: int, channels: int, out: int, **attrs: Any) -> GraphBuilder:
    b = GraphBuilder()
    x = b.input("mel", channels)
    names = [x] + [b.node("scale", (x,), f"x{n}", channels, factor=0.5 * n) for n in range(1, operands)]
    b.node(op, tuple(names), "y", out, **attrs)
    return b


@pytest.mark.parametrize(
    ("op", "function"),
    [
        ("sigmoid", torch.sigmoid),
        ("tanh", torch.tanh),
        ("swish", lambda x: x * torch.sigmoid(x)),
        ("gelu", lambda x: x * 0.5 * (1 + torch.erf(x / math.sqrt(2)))),
        ("glu", lambda x: x * torch.sigmoid(0.5 * x)),
        ("multiply", lambda x: x * (0.5 * x)),
    ],
)
def test_elementwise_operations(op: str, function: object) -> None:
    graph = one_node(op, 2 if op in ("glu", "multiply") else 1, N_MELS, N_MELS).build(("y",))
    mel = mels(3, 2, 11)
    torch.testing.assert_close(FloatExecutor(graph).run(mel)["y"], function(mel), atol=1e-6, rtol=1e-6)  # type: ignore[operator]


def test_mean_counts_frames_within_the_row_and_gates_them_all() -> None:
    b = GraphBuilder()
    x = b.input("mel", N_MELS)
    gate = b.node("sigmoid", (b.node("mean", (x,), "mean", N_MELS),), "gate", N_MELS)
    graph = b.build((b.node("multiply", (x, gate), "y", N_MELS),))
    mel, lengths = mels(4, 2, 11), torch.tensor([11, 6])
    result = FloatExecutor(graph).run(mel, lengths, keep=["mean"])
    torch.testing.assert_close(result["mean"][1, :, 0], mel[1, :, :6].mean(dim=1))
    torch.testing.assert_close(result["y"], mel * torch.sigmoid(result["mean"]))


@pytest.mark.parametrize(("groups", "stride", "padding"), [(1, 2, 1), (4, 2, 1), (4, 1, 0), (2, 1, 2)])
def test_conv2d_is_torchs_over_rows_and_time(groups: int, stride: int, padding: int) -> None:
    rng = np.random.default_rng(5)
    b = GraphBuilder()
    x = b.input("mel", 4 * 5)
    weight = rng.normal(size=(8, 4 // groups, 3, 3)).astype(np.float32)
    bias = rng.normal(size=8).astype(np.float32)
    rows = (5 + 2 * padding - 3) // stride + 1
    geometry: dict[str, Any] = {
        "stride_h": stride,
        "stride_t": stride,
        "padding_h": padding,
        "padding_t": padding,
        "groups": groups,
    }
    y = b.node(
        "conv2d", (x, b.constant("w", weight), b.constant("b", bias)), "y", 8 * rows, height=5, masked=1, **geometry
    )
    mel = torch.tensor(rng.normal(size=(2, 20, 13)), dtype=torch.float32)
    result = FloatExecutor(b.build((y,))).run(mel)["y"]
    expected = F.conv2d(mel.view(2, 4, 5, 13), torch.tensor(weight), torch.tensor(bias), stride, padding, groups=groups)
    torch.testing.assert_close(result.view(2, 8, rows, -1), expected)


def test_an_input_that_is_too_short_is_refused() -> None:
    b = GraphBuilder()
    w = b.constant("w", np.zeros((1, 1, 3, 3), np.float32))
    geometry: dict[str, Any] = {
        "height": 8,
        "stride_h": 1,
        "stride_t": 1,
        "padding_h": 0,
        "padding_t": 0,
        "groups": 1,
        "masked": 0,
    }
    graph = b.build((b.node("conv2d", (b.input("mel", N_MELS), w), "y", 6, **geometry),))
    with pytest.raises(GraphError, match="too few"):
        FloatExecutor(graph).run(mels(0, 1, 2))
