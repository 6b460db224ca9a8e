"""Exact worst cases of the accumulators (SPEC 5). Questions only: nothing here changes or refuses anything."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.int_type import IntType

Bounds = tuple[NDArray[np.int64], NDArray[np.int64]]

_TAPS_AT_ONCE = 1 << 16  # what stays in the nearest caches
_NARROW_TAPS = 1 << 23  # whose sum, at most 2^8 each, fits int32
_LOW_32 = (1 << 32) - 1


def product_bounds(weight: NDArray[Any], x_type: IntType) -> Bounds:
    """Lowest and highest sum over taps of w * x, for any x of the type: the accumulator without its bias.

    weight: int8 [C_out, C_in/groups, ...] -> (int64 [C_out], int64 [C_out]).
    int64 is exact: at most 2^16 * 2^30 taps of magnitude 2^15 stay below 2^61; so is int32 for few taps of 8 bits. A
    few rows are looked at at a time, so that large weights are never copied as a whole.
    """
    taps = np.asarray(weight).reshape(len(weight), -1)
    positive, total = np.empty(len(taps), np.int64), np.empty(len(taps), np.int64)
    rows = max(1, _TAPS_AT_ONCE // taps.shape[1])
    wide = np.int32 if taps.dtype.itemsize == 1 and taps.shape[1] <= _NARROW_TAPS else np.int64  # twice as fast
    for start in range(0, len(taps), rows):
        some = taps[start : start + rows]
        positive[start : start + rows] = np.maximum(some, 0).sum(axis=1, dtype=wide)
        total[start : start + rows] = some.sum(axis=1, dtype=wide)
    negative = total - positive
    return positive * x_type.lo + negative * x_type.hi, positive * x_type.hi + negative * x_type.lo


def accumulator_bounds(weight: NDArray[Any], bias: NDArray[Any], x_type: IntType) -> Bounds:
    """bias[o] + the sum over taps of min(w*lo, w*hi), and of max(w*lo, w*hi): attained, hence exact.

    weight: int8 [C_out, C_in/groups, ...]; bias: int32 [C_out] -> (lowest int64 [C_out], highest int64 [C_out]).
    """
    lowest, highest = product_bounds(weight, x_type)
    offset = np.asarray(bias).astype(np.int64)
    return lowest + offset, highest + offset


def multiply_bounds(a: Bounds, b: Bounds) -> Bounds:
    """Lowest and highest product of a number within `a` and one within `b`, per channel. Exact up to 31 bits each."""
    corners = np.stack([x * y for x in a for y in b])
    return corners.min(axis=0), corners.max(axis=0)


def wide_sum(terms: Sequence[NDArray[np.int64]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The sum of int64 arrays as high * 2^32 + low, 0 <= low < 2^32: exact where int64 would overflow.

    At most 2^31 terms. The sum fits int64 exactly when -2^31 <= high < 2^31.
    """
    high = np.zeros(np.broadcast_shapes(*(term.shape for term in terms)), np.int64)
    low = high.copy()
    for term in terms:
        high += term >> 32
        low += term & _LOW_32
    return high + (low >> 32), low & _LOW_32
