"""The float graph gives what NeMo 3.0.0 itself gives, on the published shapes and on every switch that is honoured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("nemo.collections.asr", reason="nemo_toolkit is not installed")
import torch
from support.nemo_models import block, ctc_config, make_nemo_model, quartznet_blocks
from support.nemo_parity import LENGTHS, nemo_log_probs, one_thread, our_log_probs, worst_difference

from zeroq_asr.adapters import FloatModel, from_nemo_object
from zeroq_asr.frontend.log_mel import log_mel
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.runtime.float_executor import FloatExecutor

pytestmark = pytest.mark.nemo

TOLERANCE = 1e-4
EXACT = 1e-8


@pytest.fixture(autouse=True)
def quiet_torch() -> Iterator[None]:
    with one_thread():
        yield


@pytest.fixture(scope="module", params=[1, 2, 3], ids=["5x5", "10x5", "15x5"])
def published(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, FloatModel]:
    model = make_nemo_model(ctc_config(quartznet_blocks(request.param)), seed=request.param)
    path = tmp_path_factory.mktemp("nemo") / "model.nemo"
    model.save_to(str(path))
    return model, load_float_model(str(path))


def test_published_shapes_agree_with_nemo(published: tuple[Any, FloatModel], record_property: Any) -> None:
    reference, ours = published
    worst = worst_difference(reference, ours)
    record_property("max_abs_log_prob_difference", worst)
    print(f"max abs log-probability difference: {worst:.1e}")
    assert worst <= TOLERANCE, worst


def test_published_shapes_are_nemos_in_float64(published: tuple[Any, FloatModel]) -> None:
    reference, ours = published
    torch.manual_seed(2)
    mel = torch.randn(2, 64, 150, dtype=torch.float64)
    lengths = torch.tensor([150, 91])
    reference.double()
    try:
        expected, ends = nemo_log_probs(reference, mel, lengths)
    finally:
        reference.float()
    with torch.no_grad():
        logits = FloatExecutor(ours.graph, dtype=torch.float64).run(mel, lengths)["logits"]
    got = torch.log_softmax(logits, dim=1)
    for row, end in enumerate(ends.tolist()):
        assert float((expected[row, :, :end] - got[row, :, :end]).abs().max()) <= EXACT


def test_sound_to_log_probs_agrees_with_nemo(published: tuple[Any, FloatModel]) -> None:
    reference, ours = published
    time = np.arange(20_000) / 16_000
    noise = np.random.default_rng(0).normal(0, 0.05, time.size)
    audio = (0.3 * np.sin(2 * np.pi * (200 + 400 * time) * time) + noise).astype(np.float32)
    with torch.no_grad():
        mel, length = reference.preprocessor(
            input_signal=torch.from_numpy(audio)[None], length=torch.tensor([audio.size])
        )
    expected, ends = nemo_log_probs(reference, mel, length)
    got = our_log_probs(ours, torch.from_numpy(log_mel(audio, ours.frontend))[None])
    assert got.shape[2] == int(ends[0])
    # 15 blocks of random weights enlarge the front end's difference of 1e-5; one frame's shift would give 1 and more
    assert float((expected[:, :, : got.shape[2]] - got).abs().max()) <= 0.01


def test_a_live_nemo_model_and_its_file_are_the_same_model(published: tuple[Any, FloatModel]) -> None:
    reference, ours = published
    live = from_nemo_object(reference, "live")
    assert live.fingerprint == ours.fingerprint
    assert (live.name, live.family, live.vocabulary) == ("live", "quartznet", ours.vocabulary)


VARIANTS: dict[str, dict[str, Any]] = {
    "squeeze-and-excite": {
        "blocks": [
            block(24, 5, se=True, se_context_size=-1),
            block(24, 11, 3, stride=[2], stride_last=True, residual=True, residual_mode="stride_add", se=True),
            block(32, 13, 2, residual=True, se=True, se_reduction_ratio=5, kernel_size_factor=0.3),
            block(24, 7, se=True, separable=False),
        ]
    },
    "squeeze-and-excite without activation": {
        "blocks": [block(24, 5, se=True), block(24, 7, 2, residual=True, se=True, se_reduction_ratio=4)],
        "activation": "identity",
    },
    "other widths, features and vocabulary": {
        "blocks": [block(24, 11, stride=[2]), block(40, 13, 3, residual=True), block(48, 1, separable=False)],
        "features": 80,
        "vocabulary": [" ", "a", "b", "'", "ü"],
    },
    "two strides": {"blocks": [block(24, 11, stride=[2]), block(24, 7, stride=[2]), block(24, 5, 2, residual=True)]},
    "dilation 3 and 4": {"blocks": [block(24, 11, dilation=[3]), block(24, 7, 2, dilation=[4], residual=True)]},
    "even kernels become odd": {"blocks": [block(24, 10), block(24, 4, 2, residual=True)]},
    "kernel_size_factor": {"blocks": [block(24, 21, kernel_size_factor=0.5), block(24, 9, kernel_size_factor=1.5)]},
    "no masks": {"blocks": [block(24, 11, stride=[2]), block(24, 7, 2, residual=True)], "conv_mask": False},
    "no activation": {"blocks": [block(24, 11), block(24, 7, 2, residual=True)], "activation": "identity"},
    "dense convolutions": {
        "blocks": [block(24, 11, 2, separable=False), block(32, 5, 2, separable=False, residual=True)]
    },
    "dense residuals": {
        "blocks": [
            block(16, 11, stride=[2], separable=False),
            *[block(16 + 8 * i, 7, 2, separable=False, residual=True, residual_dense=True) for i in range(3)],
            block(24, 1, separable=False),
        ]
    },
    "groups with shuffle": {
        "blocks": [
            block(24, 11, groups=4),
            block(32, 7, 2, groups=8, residual=True),
            block(24, 5, groups=2, separable=False),
        ]
    },
    "heads": {"blocks": [block(24, 11, heads=8), block(24, 7, 2, heads=4, residual=True)]},
    "stride_add": {
        "blocks": [
            block(24, 11),
            block(24, 7, 3, stride=[2], stride_last=True, residual=True, residual_mode="stride_add"),
        ]
    },
    "sticky residual_mode": {
        "blocks": [
            block(24, 7, residual_mode="stride_add"),
            block(24, 7, stride=[2], residual=True),
        ]
    },
}


@pytest.mark.parametrize("name", VARIANTS)
def test_every_honoured_switch_agrees_with_nemo(name: str, tmp_path: Path) -> None:
    settings = dict(VARIANTS[name])
    features = settings.get("features", 64)
    reference = make_nemo_model(ctc_config(**settings))
    reference.save_to(str(tmp_path / "model.nemo"))
    ours = load_float_model(str(tmp_path / "model.nemo"))
    lengths = LENGTHS if settings.get("conv_mask", True) else (200,)  # unmasked, a padded row differs from itself alone
    assert worst_difference(reference, ours, features, lengths) <= TOLERANCE


def test_the_shape_is_seen(tmp_path: Path) -> None:
    """The comparison can fail: one flipped dilation and the log-probabilities differ."""
    reference = make_nemo_model(ctc_config([block(24, 11, dilation=[2]), block(24, 7)]))
    other = make_nemo_model(ctc_config([block(24, 11, dilation=[1]), block(24, 7)]))
    other.load_state_dict(reference.state_dict())
    assert worst_difference(reference, from_nemo_object(other)) > 100 * TOLERANCE


def test_batch_norm_eps_of_a_live_model_is_its_own() -> None:
    reference = make_nemo_model(ctc_config([block(24, 11), block(24, 7)]))
    reference.encoder.encoder[0].mconv[2].eps = 0.5
    ours = from_nemo_object(reference)
    assert [node.attrs["eps"] for node in ours.graph.nodes if node.op == "batch_norm"] == [0.5, 1e-3]
    assert worst_difference(reference, ours) <= TOLERANCE
