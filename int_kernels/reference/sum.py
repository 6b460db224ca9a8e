"""sum of branches with one rounding, spelled out (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.fixed_point import rounding_shift_right_half_up, saturate
from int_kernels.int_type import IntType
from int_kernels.steps import Sum


def sum_branches(step: Sum, xs: Sequence[NDArray[Any]], y_type: IntType) -> NDArray[Any]:
    """y[c, t] = clip((bias[c] + sum over i of x_i[c, t] * m_i[c] + 2^(r[c]-1)) >> r[c]). xs: n of [C, T] -> [C, T]."""
    total = np.zeros(xs[0].shape, np.int64)
    if step.bias is not None:
        total += step.bias[:, None]
    for x, multiplier in zip(xs, step.multipliers, strict=True):
        total += x.astype(np.int64) * multiplier.astype(np.int64)[:, None]
    lo, hi = step.clip or (y_type.lo, y_type.hi)
    return saturate(rounding_shift_right_half_up(total, step.shift[:, None]), lo, hi).astype(y_type.storage)
