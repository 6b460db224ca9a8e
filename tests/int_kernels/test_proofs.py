"""The proofs of SPEC 5 for the ops of attention and gating models: exact where they say so, refusing at the limit."""

from __future__ import annotations

import numpy as np
import pytest
from support.small_programs import (
    ONE,
    attention,
    norm,
    positions,
    program,
    table,
)

from int_kernels import (
    INT8,
    UINT8,
    Conv1d,
    RangeError,
)
from int_kernels.bounds import multiply_bounds, product_bounds, wide_sum
from int_kernels.ops.layer_norm import largest_normalised, normalise


def test_scores_must_fit_32_bits() -> None:
    """uint8 by uint8 over 33,025 channels per head is one too many for int32."""
    for channels, fits in ((33024, True), (33026, False)):
        values = {"x": (channels, UINT8), "s": (channels, INT8), "y": (channels, INT8)}
        steps = (positions(fine=table(channels // 2), coarse=table(channels // 2, 4)), attention(heads=1))
        if fits:
            program(*steps, **values)
        else:
            with pytest.raises(RangeError, match=f"within int32; the worst case of {channels} channels per head"):
                program(*steps, **values)


def test_scores_must_fit_64_bits() -> None:
    """The largest products of two uint8 times the largest factor, with the rounding term: one unit too many."""
    channels = 32768
    values = {"x": (channels, UINT8), "s": (channels, INT8), "p": (channels, UINT8), "y": (channels, INT8)}
    spread = Conv1d("s", "p", np.ones((channels, 1, 1), int), np.zeros(channels, int), groups=channels, rescale=ONE)
    steps = positions(fine=table(channels // 2), coarse=table(channels // 2, 4)), spread
    most = ((1 << 63) - 1 - (1 << 61)) // (2 * channels * 255 * 255)
    program(*steps, attention("p", heads=1, factor=most, shift=62), **values)
    with pytest.raises(RangeError, match="attention 'y' head 0: expected a sum within 64 bits"):
        program(*steps, attention("p", heads=1, factor=most + 1, shift=62), **values)


@pytest.mark.parametrize("channels", [1, 2, 3, 5, 16, 17, 100, 1024])
def test_no_normalised_number_is_larger_than_proved(channels: int) -> None:
    """A single outlier gives the largest z there is; the smallest epsilon does not help it beyond the bound."""
    row = np.full(channels, 32767)
    row[0] = -32768
    for epsilon in (1, 1000):
        assert np.abs(normalise(row, epsilon)).max() <= largest_normalised(channels)
    assert largest_normalised(channels) >= 16384 * (channels - 1) ** 0.5


def test_wide_sums_are_exact() -> None:
    random = np.random.default_rng(0)
    info = np.iinfo(np.int64)
    terms = [random.integers(info.min, info.max, 200, endpoint=True) for _ in range(9)]
    terms += [np.full(200, info.min), np.full(200, info.max)]
    high, low = wide_sum(terms)
    assert [(h << 32) + v for h, v in zip(high.tolist(), low.tolist(), strict=True)] == [
        sum(int(term[i]) for term in terms) for i in range(200)
    ]
    assert (low >= 0).all() and (low < 1 << 32).all()


def test_product_bounds_of_parts_equal_those_of_the_whole() -> None:
    """More taps than are looked at at a time."""
    weight = np.random.default_rng(0).integers(-128, 128, (5, 1 << 20, 2), dtype=np.int8)
    lowest, highest = product_bounds(weight, INT8)
    flat = weight.reshape(5, -1).astype(np.int64)
    assert highest.tolist() == (np.maximum(flat, 0).sum(1) * 127 - np.minimum(flat, 0).sum(1) * -1 * -128).tolist()
    assert lowest.tolist() == (np.maximum(flat, 0).sum(1) * -128 + np.minimum(flat, 0).sum(1) * 127).tolist()


def test_multiply_bounds_are_attained() -> None:
    random = np.random.default_rng(0)
    for _ in range(200):
        a, b = (np.sort(random.integers(-5, 6, 2)) for _ in range(2))
        lowest, highest = multiply_bounds((a[:1], a[1:]), (b[:1], b[1:]))
        products = [x * y for x in range(a[0], a[1] + 1) for y in range(b[0], b[1] + 1)]
        assert (lowest[0], highest[0]) == (min(products), max(products))


def test_steps_own_their_arrays() -> None:
    bias = np.zeros(6, np.int64)
    step = norm(bias=bias)
    bias[:] = 9
    assert not step.bias.any() and not step.bias.flags.writeable and not step.multipliers.flags.writeable
