"""From real numbers to integers: scales, rounding, weights and biases."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from int_kernels import IntType
from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.fit_dyadic import fit_common_shift, fit_dyadic
from zeroq_asr.quant.qparams import QuantParams, choose_qparams, round_half_up
from zeroq_asr.quant.ranges import Range
from zeroq_asr.quant.weights import FloatConv, quantize_conv


@given(st.floats(min_value=2.0**-31, max_value=2.0**29))
def test_dyadic_is_within_half_a_unit_of_31_bits(ratio: float) -> None:
    dyadic = fit_dyadic("x", np.array([ratio]))
    m, r = int(dyadic.multiplier[0]), int(dyadic.shift[0])
    assert 2**30 <= m < 2**31
    assert abs(Fraction(m, 1 << r) / Fraction(ratio) - 1) <= Fraction(1, 2**31)


def test_a_mantissa_that_rounds_up_to_the_next_power_of_two() -> None:
    dyadic = fit_dyadic("x", np.array([1.0 - 2.0**-40]))
    assert (int(dyadic.multiplier[0]), int(dyadic.shift[0])) == (2**30, 30)


@pytest.mark.parametrize("ratio", [0.0, 2.0**-33, 5e-324])
def test_vanishing_ratios_become_zero(ratio: float) -> None:
    assert int(fit_dyadic("x", np.array([ratio])).multiplier[0]) == 0
    assert 2.0**-33 * 2**31 < 0.5, "no int32 accumulator would have given anything but 0"


@pytest.mark.parametrize("ratio", [-1.0, math.inf, math.nan, 2.0**30])
def test_impossible_ratios_are_refused(ratio: float) -> None:
    with pytest.raises(QuantizationError, match="'conv'"):
        fit_dyadic("conv", np.array([ratio]))


@given(st.lists(st.floats(min_value=1e-9, max_value=1e3), min_size=1, max_size=5), st.integers(1, 2**31 - 1))
def test_common_shift_is_the_largest_that_fits(ratios: list[float], magnitude: int) -> None:
    multipliers, shift = fit_common_shift("x", np.array(ratios)[:, None], [[magnitude]] * len(ratios))
    r = int(shift[0])
    for r_tried, fits in ((r, True), (r + 1, False)):
        ms = [math.floor(Fraction(ratio) * 2**r_tried + Fraction(1, 2)) for ratio in ratios]
        total = sum(ms) * magnitude + (1 << (r_tried - 1))
        assert (max(ms) < 2**31 and total < 2**63 and r_tried <= 62) == fits
        if fits:
            assert ms == multipliers[:, 0].tolist()


def test_activation_scales_follow_the_paper() -> None:
    signed = choose_qparams("x", Range(-2.0, 1.0, 9), 8, unsigned=False)
    assert (signed.scale, signed.type) == (2.0 / 127, IntType(8, signed=True))
    unsigned = choose_qparams("x", Range(0.0, 3.0, 9), 6, unsigned=True)
    assert (unsigned.scale, unsigned.type) == (3.0 / 63, IntType(6, signed=False))
    assert choose_qparams("x", Range(0.0, 0.0, 9), 8, unsigned=True).scale == 1.0
    with pytest.raises(QuantizationError, match="finite"):
        choose_qparams("x", Range(-math.inf, 1.0, 9), 8, unsigned=False)


def test_codes_round_half_up_and_saturate() -> None:
    params = QuantParams(0.5, IntType(3, signed=True))
    x = np.array([-9.0, -0.75, -0.25, 0.25, 0.75, 9.0])
    assert params.quantize(x).tolist() == [-4, -1, 0, 1, 2, 3]
    assert round_half_up(np.array([-2.5, -1.5, 2.5])).tolist() == [-2, -1, 3]


@pytest.mark.parametrize("bits", range(2, 9))
def test_weights_use_the_narrow_range_and_lose_at_most_half_a_step(bits: int) -> None:
    rng = np.random.default_rng(bits)
    weight = rng.normal(0, 1, (5, 3, 7)).astype(np.float32)
    bias = rng.normal(0, 1, 5).astype(np.float32)
    conv = quantize_conv(FloatConv("x", weight, bias, 0.01, bits))
    top = 2 ** (bits - 1) - 1
    assert np.abs(conv.weight).max(axis=(1, 2)).tolist() == [top] * 5
    step = conv.weight_scale[:, None, None]
    assert np.abs(conv.weight * step - weight).max() <= step.max() / 2 * (1 + 1e-6)
    assert np.abs(conv.bias * 0.01 * conv.weight_scale - bias).max() <= 0.01 * conv.weight_scale.max() / 2 * (1 + 1e-6)


def test_a_dead_channel_with_a_bias_stays_within_int32() -> None:
    weight = np.zeros((3, 2, 1), np.float32)
    weight[0] = 1.0
    weight[1] = 1e-30
    conv = quantize_conv(FloatConv("x", weight, np.array([0.5, 7.0, -7.0], np.float32), 0.01, 8))
    assert np.abs(conv.bias.astype(np.int64)).max() <= 2**30
    np.testing.assert_allclose(conv.bias * conv.weight_scale * 0.01, [0.5, 7.0, -7.0], rtol=1e-3)
    nothing = quantize_conv(FloatConv("x", weight * 0, None, 0.01, 8))
    assert not nothing.weight.any()
    assert not nothing.bias.any()


def test_weights_that_are_not_finite_are_refused() -> None:
    with pytest.raises(QuantizationError, match="finite"):
        quantize_conv(FloatConv("x", np.full((1, 1, 1), np.nan, np.float32), None, 1.0, 8))
