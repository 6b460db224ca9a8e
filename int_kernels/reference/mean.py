"""mean over time, spelled out (SPEC 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.fixed_point import saturate
from int_kernels.int_type import IntType
from int_kernels.steps import Mean


def mean_over_time(step: Mean, x: NDArray[Any], y_type: IntType) -> NDArray[Any]:
    """y[c, 0] = clip(floor((2*s*m + n*2^r) / (n*2^(r+1)))), s the sum over n frames. [C, T] -> [C, 1]."""
    frames = x.shape[1]
    total = x.astype(np.int64).sum(axis=1)
    multiplier, shift = step.rescale.multiplier.astype(np.int64), step.rescale.shift.astype(np.int64)
    unit = np.int64(frames) << shift
    result = (2 * total * multiplier + unit) // (2 * unit)
    lo, hi = step.clip or (y_type.lo, y_type.hi)
    return saturate(result, lo, hi).astype(y_type.storage)[:, None]
