from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from int_kernels import Dyadic, KernelError, RangeError, ShapeError

LOW, HIGH = 1 << 30, (1 << 31) - 1


def test_rescale_equals_exact_arithmetic_at_every_shift_and_limit() -> None:
    accumulators = np.array([[-(2**31), -(2**31) + 1, -3, -2, -1, 0, 1, 2, 3, 2**31 - 2, 2**31 - 1]])
    for multiplier in (0, LOW, LOW + 1, 1518500250, HIGH - 1, HIGH):
        for shift in range(1, 63):
            actual = Dyadic(np.array([multiplier]), np.array([shift])).rescale(accumulators)
            ratio = Fraction(multiplier, 1 << shift)
            assert actual[0].tolist() == [floor(int(a) * ratio + Fraction(1, 2)) for a in accumulators[0]]


def test_a_single_number_serves_every_channel() -> None:
    spread = Dyadic(np.array([LOW]), np.array([31])).per_channel(3)
    assert spread.multiplier.tolist() == [LOW] * 3 and spread.shift.tolist() == [31] * 3
    with pytest.raises(ShapeError, match="expected 1 or 3 multipliers"):
        Dyadic(np.array([LOW, LOW]), np.array([31, 31])).per_channel(3)


def test_it_owns_its_numbers() -> None:
    multiplier = np.array([LOW], np.int32)
    ratio = Dyadic(multiplier, np.array([1]))
    multiplier[0] = 0
    assert ratio.multiplier[0] == LOW
    with pytest.raises(ValueError, match="read-only"):
        ratio.multiplier[0] = 0


@pytest.mark.parametrize("multiplier", [1, LOW - 1, -1, -LOW, HIGH + 1])
def test_multipliers_that_are_not_normal_are_refused(multiplier: int) -> None:
    with pytest.raises(RangeError):
        Dyadic(np.array([multiplier]), np.array([31]))


@pytest.mark.parametrize("shift", [0, -1, 63, 64, 127, 300])
def test_shifts_out_of_range_are_refused(shift: int) -> None:
    with pytest.raises(RangeError):
        Dyadic(np.array([LOW]), np.array([shift]))


@pytest.mark.parametrize(
    ("multiplier", "shift"),
    [
        (np.array([0.5]), np.array([1])),
        (np.array([LOW]), np.array([1.0])),
        (np.array([True]), np.array([1])),
        (["a"], [1]),
    ],
)
def test_what_is_not_an_integer_is_refused(multiplier: object, shift: object) -> None:
    with pytest.raises(KernelError, match="expected integers"):
        Dyadic(multiplier, shift)  # type: ignore[arg-type]


@pytest.mark.parametrize(("multipliers", "shifts"), [(2, 1), (1, 2), (0, 0)])
def test_lengths_must_agree(multipliers: int, shifts: int) -> None:
    with pytest.raises(ShapeError):
        Dyadic(np.full(multipliers, LOW), np.full(shifts, 3))


def test_two_axes_are_refused() -> None:
    with pytest.raises(ShapeError, match="expected 1 axes"):
        Dyadic(np.full((2, 2), LOW), np.full((2, 2), 3))
