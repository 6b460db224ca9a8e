from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from int_kernels import (
    INT8,
    UINT8,
    Conv1d,
    IntType,
    Program,
    RangeError,
    ValueSpec,
    accumulator_bounds,
    compile_program,
    product_bounds,
)
from int_kernels.int_type import INT32

INT32_LO, INT32_HI = INT32.lo, INT32.hi


@given(
    weight=st.lists(st.integers(-128, 127), min_size=1, max_size=3),
    bias=st.integers(INT32_LO, INT32_HI),
    x_type=st.sampled_from([IntType(2), IntType(2, signed=False), IntType(3)]),
)
def test_bounds_are_exact(weight: list[int], bias: int, x_type: IntType) -> None:
    lowest, highest = accumulator_bounds(np.array(weight).reshape(1, -1, 1), np.array([bias]), x_type)
    codes = range(x_type.lo, x_type.hi + 1)
    sums = [
        bias + sum(w * x for w, x in zip(weight, xs, strict=True))
        for xs in itertools.product(codes, repeat=len(weight))
    ]
    assert (lowest[0], highest[0]) == (min(sums), max(sums))


@pytest.mark.parametrize(("shape", "x_type"), [((40, 33, 75), UINT8), ((3, 1 << 16, 2), INT8), ((7, 1, 1), INT8)])
def test_bounds_of_many_taps(shape: tuple[int, int, int], x_type: IntType) -> None:
    """Rows looked at in one go, in several, and one row larger than a go, all of them as wide sums say."""
    weight = np.random.default_rng(0).choice(np.array([-128, -127, -1, 0, 1, 127], np.int8), shape)
    weight[0], weight[1] = -128, 127
    taps = weight.reshape(shape[0], -1).astype(np.int64)
    lowest, highest = product_bounds(weight, x_type)
    assert np.array_equal(lowest, np.minimum(taps * x_type.lo, taps * x_type.hi).sum(axis=1))
    assert np.array_equal(highest, np.maximum(taps * x_type.lo, taps * x_type.hi).sum(axis=1))
    wide = product_bounds(weight.astype(np.int16), x_type)
    assert all(np.array_equal(a, b) for a, b in zip(wide, (lowest, highest), strict=True))


def one_tap(weight: int, bias: int, x_type: IntType) -> Program:
    values = (ValueSpec("x", 1, x_type), ValueSpec("y", 1, INT32))
    return Program(values, (Conv1d("x", "y", np.full((1, 1, 1), weight), np.array([bias])),), "x", ("y",))


@pytest.mark.parametrize(
    ("weight", "bias", "x_type", "worst", "beyond"),
    [
        (127, INT32_HI - 127 * 255, UINT8, 255, 1),
        (-128, INT32_LO + 128 * 255, UINT8, 255, -1),
        (127, INT32_HI - 127 * 127, INT8, 127, 1),
        (-128, INT32_HI - 128 * 128, INT8, -128, 1),
        (127, INT32_LO + 127 * 128, INT8, -128, -1),
    ],
)
def test_accumulator_at_int32_limit(
    backend: str, weight: int, bias: int, x_type: IntType, worst: int, beyond: int
) -> None:
    """At the limit it runs and gives the limit; one beyond it is refused before it can run."""
    program = one_tap(weight, bias, x_type)
    (y,) = compile_program(program, backend).run([np.full((1, 3), worst)])[0]
    assert y.tolist() == [[INT32_HI if beyond > 0 else INT32_LO] * 3]
    with pytest.raises(RangeError, match="conv1d 'y': expected accumulators within"):
        one_tap(weight, bias + beyond, x_type)


def test_the_sum_without_bias_must_fit_too() -> None:
    """A negative bias must not excuse partial sums that pass int32 on the way."""
    channels = INT32_HI // (127 * 255) // 2 + 1
    weight = np.full((1, channels, 2), 127)
    values = (ValueSpec("x", channels, UINT8), ValueSpec("y", 1, INT32))
    lowest, highest = accumulator_bounds(weight, np.array([INT32_LO // 2]), UINT8)
    assert lowest[0] >= INT32_LO and highest[0] <= INT32_HI
    with pytest.raises(RangeError, match="accumulators"):
        Program(values, (Conv1d("x", "y", weight, np.array([INT32_LO // 2])),), "x", ("y",))
