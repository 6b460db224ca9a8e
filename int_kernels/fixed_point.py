"""Named fixed-point primitives (SPEC 2), for Python ints and int64 arrays alike."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

MAX_SHIFT = 62


def rounding_shift_right_half_up(value: NDArray[np.int64], shift: Any) -> NDArray[np.int64]:
    """(v + 2^(r-1)) >> r, 1 <= r <= 62: divide by 2^r, ties towards plus infinity.

    value: int64, with |v| + 2^(r-1) < 2^63 guaranteed by the caller (Program proves it). shift broadcasts to value.
    """
    shift = np.asarray(shift, dtype=np.int64)
    half = np.int64(1) << (shift - 1)
    rounded: NDArray[np.int64] = (value + half) >> shift
    return rounded


def saturate(value: NDArray[np.int64], lo: int, hi: int) -> NDArray[np.int64]:
    """min(max(v, lo), hi)."""
    return np.minimum(np.maximum(value, lo), hi)
