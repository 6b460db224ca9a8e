"""Exact worst cases of the accumulators (SPEC 5). Questions only: nothing here changes or refuses anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.int_type import IntType

Bounds = tuple[NDArray[np.int64], NDArray[np.int64]]


def product_bounds(weight: NDArray[Any], x_type: IntType) -> Bounds:
    """Lowest and highest sum over taps of w * x, for any x of the type: the accumulator without its bias.

    weight: int8 [C_out, C_in/groups, K] -> (int64 [C_out], int64 [C_out]).
    int64 is exact: at most 2^16 * 2^15 taps of magnitude 2^15 stay below 2^47.
    """
    taps = np.asarray(weight).reshape(len(weight), -1).astype(np.int64)
    positive = np.maximum(taps, 0).sum(axis=1)
    negative = np.minimum(taps, 0).sum(axis=1)
    return positive * x_type.lo + negative * x_type.hi, positive * x_type.hi + negative * x_type.lo


def accumulator_bounds(weight: NDArray[Any], bias: NDArray[Any], x_type: IntType) -> Bounds:
    """bias[o] + the sum over taps of min(w*lo, w*hi), and of max(w*lo, w*hi): attained, hence exact.

    weight: int8 [C_out, C_in/groups, K]; bias: int32 [C_out] -> (lowest int64 [C_out], highest int64 [C_out]).
    """
    lowest, highest = product_bounds(weight, x_type)
    offset = np.asarray(bias).astype(np.int64)
    return lowest + offset, highest + offset
