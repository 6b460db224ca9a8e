"""2^(-t) and the logistic function by a second-order polynomial in fixed point (SPEC 4, activation)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from int_kernels.fixed_point import rounding_shift_right_half_up

OCTAVE = 1 << 16  # t of one halving
LEAST_OCTAVES = 31  # beyond, 2^-t is taken to be 2^-31

_LINEAR, _QUADRATIC = 43269, 22267  # 2^f ~ 1 + f * (0.66023 + 0.33977 f), in 1/65536
_LOG2_E = 94548


def exp2_negative(t: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(P, q) with 2^(-t/65536) ~ P / 2^(17 + q). t: int64 of at least 0; 65536 <= P <= 131072."""
    q = t >> 16
    f = OCTAVE - (t & (OCTAVE - 1))
    return OCTAVE + ((f * (_LINEAR + ((_QUADRATIC * f) >> 16))) >> 16), q


def sigma(u: NDArray[np.int64]) -> NDArray[np.int64]:
    """1 / (1 + 2^(-u log2 e)) in 1/32768, for u in 1/1024, |u| <= 65536."""
    t = np.minimum((np.abs(u) * _LOG2_E + 512) >> 10, LEAST_OCTAVES * OCTAVE)
    p, q = exp2_negative(t)
    e = rounding_shift_right_half_up(p << 14, q + 1)
    one_plus_e = (1 << 30) + e
    s = ((1 << 45) + (one_plus_e >> 1)) // one_plus_e
    both: NDArray[np.int64] = np.where(u >= 0, s, 32768 - s)
    return both
