from __future__ import annotations

from fractions import Fraction
from math import floor

import numpy as np
import pytest

from int_kernels.fixed_point import rounding_shift_right_half_up, saturate


def edges() -> list[int]:
    """Two either side of every power of two, of both signs, as far as 2^61."""
    near = {sign * (1 << power) + delta for sign in (1, -1) for power in range(62) for delta in range(-2, 3)}
    return sorted(near)


@pytest.mark.parametrize("shift", range(1, 63))
def test_rounding_equals_exact_arithmetic_on_every_edge(shift: int) -> None:
    values = [v for v in edges() if abs(v) + (1 << (shift - 1)) < 1 << 63]
    ties = [(2 * n + 1) << (shift - 1) for n in range(-3, 3) if abs((2 * n + 1) << (shift - 1)) < 1 << 62]
    values += ties
    rounded = rounding_shift_right_half_up(np.array(values, np.int64), shift)
    assert rounded.tolist() == [floor(Fraction(v, 1 << shift) + Fraction(1, 2)) for v in values]


def test_ties_go_up() -> None:
    assert rounding_shift_right_half_up(np.array([5, -5, 3, -3, 1, -1]), 1).tolist() == [3, -2, 2, -1, 1, 0]


def test_saturate() -> None:
    assert saturate(np.array([-9, -8, 0, 7, 8]), -8, 7).tolist() == [-8, -8, 0, 7, 7]
