"""Scales of least squared error: never worse than the full range, better for heavy tails, one for all where asked."""

from __future__ import annotations

import numpy as np
import pytest

from zeroq_asr.config import WEIGHT_SCALE_RATIOS
from zeroq_asr.quant.mse_weight_scale import mse_weight_scale
from zeroq_asr.quant.weights import FloatConv, quantize_conv


def error(weight: np.ndarray, methods: tuple[str, ...], bits: int, per_tensor: bool = False) -> np.ndarray:
    """Squared error of every output channel."""
    conv = quantize_conv(FloatConv("x", weight, None, 0.01, bits, per_tensor, methods))
    assert np.abs(conv.weight).max() <= 2 ** (bits - 1) - 1
    real = conv.weight * conv.weight_scale.reshape(-1, *(1,) * (weight.ndim - 1))
    squares: np.ndarray = np.square(weight - real).reshape(len(weight), -1).sum(axis=1)
    return squares


@pytest.mark.parametrize("bits", [2, 4, 8])
@pytest.mark.parametrize("shape", [(16, 300, 1), (16, 1, 33), (4, 3, 3, 3)])
def test_no_channel_loses_and_few_bits_gain(bits: int, shape: tuple[int, ...]) -> None:
    weight = np.random.default_rng(bits).standard_t(5, shape).astype(np.float32)
    plain, clipped = error(weight, (), bits), error(weight, ("clipping",), bits)
    assert (clipped <= plain).all()
    assert bits == 8 or clipped.sum() < (0.8 if bits == 2 else 0.98) * plain.sum()


def test_the_best_ratio_is_found_by_hand() -> None:
    """Twenty weights of 0.6 beside one of 1, one bit beside the sign: 0.6 is coded best by itself."""
    weight = np.array([[1.0] + [0.6] * 20])
    assert mse_weight_scale(weight, np.array([1.0]), 1)[0] == pytest.approx(
        0.625
    )  # 0.6 exactly would lose more of the 1
    assert mse_weight_scale(np.zeros((1, 4)), np.array([0.0]), 1)[0] == 0


def test_one_scale_for_a_tensor_and_large_layers_block_by_block(monkeypatch: pytest.MonkeyPatch) -> None:
    weight = np.random.default_rng(0).standard_t(5, (12, 40))
    full = np.full(12, np.abs(weight).max() / 7)
    one, many = mse_weight_scale(weight, full, 7, per_tensor=True), mse_weight_scale(weight, full, 7)
    assert len(set(one)) == 1 < len(set(many))
    assert one[0] / full[0] in WEIGHT_SCALE_RATIOS
    monkeypatch.setattr("zeroq_asr.quant.mse_weight_scale._BLOCK", 100)
    np.testing.assert_array_equal(mse_weight_scale(weight, full, 7), many)


def test_both_methods_of_rounding_go_together() -> None:
    weight = np.random.default_rng(1).standard_t(5, (8, 64, 5)).astype(np.float32)
    conv = quantize_conv(FloatConv("x", weight, None, 0.01, 4, methods=("clipping", "squant")))
    scaled = (weight / conv.weight_scale[:, None, None]).clip(-7, 7)
    assert np.abs((conv.weight - scaled).sum(axis=(1, 2))).max() <= 0.5 + 1e-4
