"""Conformer and FastConformer graphs give what NeMo 3.0.0 gives, on every switch that is honoured."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("nemo.collections.asr", reason="nemo_toolkit is not installed")
from support.nemo_models import conformer_config, make_nemo_model
from support.nemo_parity import one_thread, worst_difference

from zeroq_asr.adapters import from_nemo_object
from zeroq_asr.models.resolve import load_float_model

pytestmark = pytest.mark.nemo

TOLERANCE = 1e-4


@pytest.fixture(autouse=True)
def quiet_torch() -> Iterator[None]:
    with one_thread():
        yield


FAST: dict[str, Any] = {"subsampling": "dw_striding", "subsampling_factor": 8}
VARIANTS: dict[str, dict[str, Any]] = {
    "Conformer": {},
    "FastConformer": {**FAST, "xscaling": False, "conv_kernel_size": 9},
    "only what has no default": {"n_heads": ..., "conv_kernel_size": ..., "att_context_size": ...,
                                 "subsampling": ..., "subsampling_factor": ..., "subsampling_conv_channels": ...},
    "no scaling": {"xscaling": False},
    "no bias": {"use_bias": False},
    "tied position biases": {"untie_biases": False},
    "a projection behind": {"feat_out": 20},
    "other widths": {"d_model": 24, "n_heads": 3, "ff_expansion_factor": 2, "n_layers": 3},
    "one head": {"n_heads": 1},
    "half the frames": {"subsampling_factor": 2},
    "an eighth, dense": {"subsampling_factor": 8},
    "half the frames, depthwise": {**FAST, "subsampling_factor": 2},
    "kernel of one tap": {"conv_kernel_size": 1},
    "kernel longer than the utterance": {"conv_kernel_size": 61},
    "explicit symmetric context": {"conv_context_size": [3, 3]},
    "a list of contexts": {"att_context_size": [[-1, -1], [20, 20]]},
    "fused attention": {"use_pytorch_sdpa": True},
    "reduction by nothing": {"reduction": "striding", "reduction_position": 1, "reduction_factor": 1},
}  # fmt: skip


@pytest.mark.parametrize("name", VARIANTS)
def test_every_honoured_switch_agrees_with_nemo(name: str, tmp_path: Path) -> None:
    reference = make_nemo_model(conformer_config(**VARIANTS[name]))
    reference.save_to(str(tmp_path / "model.nemo"))
    ours = load_float_model(str(tmp_path / "model.nemo"))
    assert ours.family == ("fastconformer" if "depthwise" in name or "Fast" in name else "conformer")
    assert worst_difference(reference, ours, 80) <= TOLERANCE
    assert from_nemo_object(reference).fingerprint == ours.fingerprint


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 8, 9, 16, 17])
def test_short_utterances_agree(frames: int) -> None:
    reference = make_nemo_model(conformer_config(**FAST))
    assert worst_difference(reference, from_nemo_object(reference), 80, (frames + 40, frames)) <= TOLERANCE


def test_odd_numbers_of_mel_bins_agree() -> None:
    config = conformer_config()
    for features in (21, 33):
        config["preprocessor"]["features"] = config["encoder"]["feat_in"] = features
        reference = make_nemo_model(config)
        assert worst_difference(reference, from_nemo_object(reference), features) <= TOLERANCE


def test_the_scaling_is_seen() -> None:
    """The comparison can fail: without the factor sqrt(d_model) the log-probabilities differ."""
    reference, other = make_nemo_model(conformer_config()), make_nemo_model(conformer_config(xscaling=False))
    other.load_state_dict(reference.state_dict())
    assert worst_difference(reference, from_nemo_object(other), 80) > 10 * TOLERANCE


def test_eps_of_a_live_model_is_its_own() -> None:
    reference = make_nemo_model(conformer_config())
    reference.encoder.layers[1].norm_conv.eps = 0.5
    reference.encoder.layers[0].conv.batch_norm.eps = 0.25
    ours = from_nemo_object(reference)
    eps = {node.output: node.attrs["eps"] for node in ours.graph.nodes if "eps" in node.attrs}
    odd = {"encoder.layers.1.norm_conv": 0.5, "encoder.layers.0.conv.batch_norm": 0.25}
    assert {name: value for name, value in eps.items() if value != 1e-5} == odd
    assert worst_difference(reference, ours, 80) <= TOLERANCE
