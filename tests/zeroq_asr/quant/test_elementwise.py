"""Codes with offsets and scales per channel, tables, epsilon, sinusoids, signed multipliers."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from int_kernels import IntType
from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.elementwise import REAL, epsilon_code, lookup_table, sigmoid
from zeroq_asr.quant.fit_dyadic import fit_affine, fit_common_shift
from zeroq_asr.quant.qparams import GATE, QuantParams, choose_channels, choose_shifted, choose_stream
from zeroq_asr.quant.ranges import Range
from zeroq_asr.quant.sinusoids import FINE, sinusoid_tables


@given(st.floats(-5, 0), st.floats(0.01, 50), st.integers(3, 8))
def test_a_shifted_code_covers_its_range_and_zero_exactly(lo: float, hi: float, bits: int) -> None:
    params = choose_shifted("x", Range(lo, hi, 9), bits)
    x = np.linspace(lo, hi, 101)[None]
    codes = params.quantize(x)
    assert codes.min() >= 0
    assert codes.max() <= 2**bits - 1
    assert np.abs(params.real(codes) - x).max() <= params.scale * (1 + 1e-9)
    assert params.quantize(np.zeros((1, 1))).item() == params.offset
    assert params.real(np.full((1, 1), params.offset)).item() == 0.0


def test_degenerate_ranges_are_coded_and_damaged_ones_refused() -> None:
    assert choose_shifted("x", Range(0.0, 0.0, 1), 8).scale == 1.0
    assert choose_stream("x", Range(0.0, 0.0, 1)).scale == 1.0
    assert choose_channels("x", Range(0.0, 0.0, 1, np.zeros(3)), 8).scale == 1.0
    damaged = Range(-math.inf, 1.0, 9)
    with pytest.raises(QuantizationError, match="finite"):
        choose_shifted("x", damaged, 8)
    with pytest.raises(QuantizationError, match="finite"):
        choose_stream("x", damaged)
    with pytest.raises(ValueError, match="limits per channel"):
        choose_channels("x", Range(-1.0, 1.0, 9), 8)


def test_a_stream_has_room_for_twice_what_was_seen() -> None:
    params = choose_stream("x", Range(-3.0, 1.0, 9))
    assert params.type == IntType(16, signed=True)
    assert params.quantize(np.array([[6.0, -6.0, 7.0, 3.0]])).tolist() == [[32767, -32767, 32767, 16384]]


def test_scales_per_channel_lie_between_the_channels_and_the_tensors() -> None:
    params = choose_channels("x", Range(-8.0, 4.0, 9, np.array([8.0, 2.0, 0.0])), 8)
    scales = params.scales(3)
    assert scales[0] == pytest.approx(8 / 127)
    assert scales[1] == pytest.approx(4 / 127)
    assert scales[2] > 0
    x = np.array([[8.0, -8.0], [2.0, -1.0], [0.0, 0.0]])
    assert np.abs(params.real(params.quantize(x)) - x).max() <= scales[0] / 2
    assert params.quantize(x)[1].tolist() == [64, -32]


def test_scales_per_channel_of_what_a_relu_makes_use_all_codes_within_the_tensors_range() -> None:
    params = choose_channels("x", Range(0.0, 8.0, 9, np.array([12.0, 2.0, 0.0])), 8, unsigned=True)
    assert params.type == IntType(8, signed=False)
    assert params.scales(3)[:2] == pytest.approx([8 / 255, 4 / 255])
    assert params.quantize(np.array([[12.0], [2.0], [0.0]])).ravel().tolist() == [255, 128, 0]


@pytest.mark.parametrize("kind", sorted(REAL))
@pytest.mark.parametrize("bits", [4, 8])
def test_a_table_is_exact_to_half_a_step(kind: str, bits: int) -> None:
    x = QuantParams(0.07, IntType(bits, signed=True))
    y = choose_shifted("y", Range(-1.0, 9.0, 1), 8)
    table = lookup_table("y", kind, x, y)
    real = 0.07 * np.arange(-(2 ** (bits - 1)), 2 ** (bits - 1))
    exact = {
        "sigmoid": 1 / (1 + np.exp(-real)),
        "tanh": np.tanh(real),
        "swish": real / (1 + np.exp(-real)),
        "gelu": np.array([v * (1 + math.erf(v / 2**0.5)) / 2 for v in real]),
    }[kind]
    assert table.dtype == np.int16
    assert np.abs(y.real(table[None])[0] - exact).max() <= y.scale / 2 * (1 + 1e-9)


def test_a_gate_saturates_just_below_one_and_tables_want_one_scale() -> None:
    table = lookup_table("y", "sigmoid", QuantParams(1.0, IntType(8)), GATE)
    assert (table[0], table[128], table[-1]) == (0, 16384, 32767)
    with pytest.raises(QuantizationError, match="one scale"):
        lookup_table("y", "swish", QuantParams(1.0, IntType(8)), QuantParams(1.0, IntType(8), 0, np.ones(3)))
    assert sigmoid(np.array([-1e30, 0.0, 1e30])).tolist() == [0.0, 0.5, 1.0]


def test_epsilon_stands_for_eps_and_stays_in_its_domain() -> None:
    assert epsilon_code(1e-5, 512, 0.001) == math.floor(1e-5 * 512**2 / 0.001**2 * 4096 + 0.5)
    assert epsilon_code(0.0, 8, 1.0) == 1
    assert epsilon_code(1e-5, 1024, 1e-12) == 2**60
    assert epsilon_code(1e300, 1024, 1e-12) == 2**60


@given(
    st.lists(st.floats(-1e3, 1e3), min_size=1, max_size=4),
    st.floats(-1e6, 1e6),
    st.integers(1, 2**31 - 1),
)
def test_an_affine_fit_is_exact_to_its_shift(ratios: list[float], offset: float, magnitude: int) -> None:
    m, r, b = fit_affine("x", np.array(ratios)[:, None], np.array([offset]), [[magnitude]] * len(ratios))
    shift = int(r[0])

    def fits(r: int) -> bool:
        ms = [math.floor(Fraction(ratio) * 2**r + Fraction(1, 2)) for ratio in ratios]
        bias = math.floor(Fraction(offset) * 2**r + Fraction(1, 2))
        total = sum(map(abs, ms)) * magnitude + abs(bias) + (1 << (r - 1))
        return max(map(abs, ms)) < 2**31 and total < 2**63 and r <= 62

    assert fits(shift)
    assert not fits(shift + 1)
    for ratio, multiplier in zip(ratios, m[:, 0], strict=True):
        assert abs(Fraction(int(multiplier), 1 << shift) - Fraction(ratio)) <= Fraction(1, 1 << (shift + 1))
    assert abs(Fraction(int(b[0]), 1 << shift) - Fraction(offset)) <= Fraction(1, 1 << (shift + 1))


def test_sums_refuse_what_is_no_scale_ratio() -> None:
    with pytest.raises(QuantizationError, match=">= 0"):
        fit_common_shift("x", np.array([[-1.0]]), [[1]])
    with pytest.raises(QuantizationError, match="finite"):
        fit_affine("x", np.array([[1.0]]), np.array([np.nan]), [[1]])
    with pytest.raises(QuantizationError, match="no common shift"):
        fit_affine("x", np.array([[1e30]]), np.array([0.0]), [[1]])


@pytest.mark.parametrize(("channels", "frames"), [(8, 64), (176, 5000), (6, 1)])
def test_two_small_tables_give_every_position(channels: int, frames: int) -> None:
    fine, coarse = sinusoid_tables(channels, frames)
    assert fine.shape == (2, channels // 2, FINE)
    assert coarse.shape == (2, channels // 2, -(-frames // FINE))
    position = np.arange(coarse.shape[2] * FINE)
    i, k = position // FINE, position % FINE
    sine = coarse[0, :, i].astype(float) * fine[1, :, k] + coarse[1, :, i].astype(float) * fine[0, :, k]
    angles = position[:, None] * 10000.0 ** (-2 * np.arange(channels // 2) / channels)
    assert np.abs(sine / 2**28 - np.sin(angles)).max() < 1.3e-4
