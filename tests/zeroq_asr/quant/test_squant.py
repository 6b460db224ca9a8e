"""Rounding that lets errors cancel: the sums, the neighbours, and that it serves inputs with a common mean."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from zeroq_asr.config import DEFAULT_METHODS, METHODS, QuantizeConfig
from zeroq_asr.errors import ConfigError
from zeroq_asr.quant.qparams import round_half_up
from zeroq_asr.quant.squant import squant
from zeroq_asr.quant.weights import FloatConv, quantize_conv

SHAPES = ((5, 1, 33), (7, 40, 1), (6, 24, 11), (4, 3, 3, 3), (3, 1, 1))


def drawn(shape: tuple[int, ...], top: int, seed: int = 0) -> np.ndarray:
    """Weights in units of their scale, the largest of every output channel `top`."""
    w = np.random.default_rng(seed).normal(size=shape)
    largest: np.ndarray = np.abs(w).reshape(len(w), -1).max(axis=1).reshape(-1, *(1,) * (w.ndim - 1))
    scaled: np.ndarray = w / largest * top
    return scaled


@given(st.sampled_from(SHAPES), st.sampled_from((1, 7, 127)), st.integers(0, 10_000))
def test_errors_cancel_and_every_code_is_a_neighbour(shape: tuple[int, ...], top: int, seed: int) -> None:
    scaled = drawn(shape, top, seed).clip(-top, top)
    codes = squant(scaled, top)
    error = (codes - scaled).reshape(*shape[:2], -1)
    assert np.abs(codes).max() <= top
    assert np.abs(error).max() < 1
    assert np.abs(error.sum(axis=(1, 2))).max() <= 0.5 + 1e-9
    assert np.abs(error.sum(axis=2)).max() <= 1 + 1e-9
    changed = np.abs(codes - round_half_up(scaled)).reshape(len(codes), -1)
    assert changed.max() <= 1


def test_a_kernel_by_hand() -> None:
    # nearest: 0 0 0 1, errors -0.4 -0.3 -0.45 +0.4, sum -0.75: one flip, of the third
    assert squant(np.array([[[0.4, 0.3, 0.45, 0.6]]]), 7).tolist() == [[[0, 0, 1, 1]]]
    # two kernels that err by -0.4 each, and one by +0.1: the sum -0.7 wants one flip more, of the first of the two
    assert squant(np.array([[[0.4], [0.4], [1.9]]]), 7).tolist() == [[[1], [0], [2]]]


def test_the_flips_are_the_cheapest() -> None:
    """A pointwise channel: no other choice of as many flips has a smaller sum of squares."""
    scaled = drawn((1, 60, 1), 7, seed=3)
    nearest = round_half_up(scaled) - scaled
    error = squant(scaled, 7) - scaled
    flips = int((error != nearest).sum())
    assert flips == np.ceil(np.abs(nearest.sum()) - 0.5) > 0
    sign = np.sign(nearest.sum())
    largest = np.sort((nearest * sign).ravel())[::-1][:flips]
    cost = (error**2).sum() - (nearest**2).sum()
    assert cost == pytest.approx((1 - 2 * largest).sum())


def test_layers_larger_than_a_block_are_rounded_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    scaled = drawn((9, 5, 7), 7)
    whole = squant(scaled, 7)
    monkeypatch.setattr("zeroq_asr.quant.squant._BLOCK", 70)
    np.testing.assert_array_equal(squant(scaled, 7), whole)


def test_inputs_with_a_common_mean_lose_less() -> None:
    """Codes behind a ReLU at 4 bits: the error of the outputs shrinks, although that of the weights grows."""
    rng = np.random.default_rng(1)
    weight = rng.normal(size=(64, 128, 1)).astype(np.float32)
    x = np.maximum(rng.normal(1.0, 0.5, (128, 400)), 0)
    errors = []
    for methods in ((), ("squant",)):
        conv = quantize_conv(FloatConv("x", weight, None, 0.01, 4, methods=methods))
        errors.append(conv.weight * conv.weight_scale[:, None, None] - weight)
    plain, cancelled = (np.square(e[:, :, 0] @ x).mean() for e in errors)
    assert cancelled < plain / 2
    assert np.square(errors[1]).sum() > np.square(errors[0]).sum()


def test_methods_are_checked_and_kept_in_one_order() -> None:
    assert QuantizeConfig().methods == DEFAULT_METHODS
    assert QuantizeConfig(methods=tuple(reversed(METHODS))) == QuantizeConfig(methods=(*METHODS, METHODS[0]))
    assert [QuantizeConfig(methods=m).unusual_methods for m in ((), DEFAULT_METHODS, ("squant",))] == [
        ("plain",), (), ("squant",)
    ]  # fmt: skip
    with pytest.raises(ConfigError, match=r"--weight-methods.*squant.*'magic'"):
        QuantizeConfig(methods=("magic",))
