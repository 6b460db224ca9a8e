"""layer_norm, spelled out (SPEC 4)."""

from __future__ import annotations

from math import isqrt
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.fixed_point import rounding_shift_right_half_up, saturate
from int_kernels.int_type import IntType
from int_kernels.steps import LayerNorm


def layer_norm(step: LayerNorm, x: NDArray[Any], y_type: IntType) -> NDArray[Any]:
    """y[c, t] = clip((z[c, t] * m[c] + bias[c] + 2^(r[c]-1)) >> r[c]). [C, T] -> y_type's storage [C, T]."""
    frames = [normalise(frame, step.epsilon) for frame in x.T.astype(np.int64)]
    z = np.stack(frames, axis=1)
    scaled = z * step.multipliers.astype(np.int64)[:, None] + step.bias[:, None]
    lo, hi = step.clip or (y_type.lo, y_type.hi)
    return saturate(rounding_shift_right_half_up(scaled, step.shift[:, None]), lo, hi).astype(y_type.storage)


def normalise(q: NDArray[np.int64], epsilon: int) -> NDArray[np.int64]:
    """z = (q - mean) / sqrt(variance + epsilon / (2^12 d^2)) in 1/16384, for the d channels of one frame. int64 [d]."""
    channels, first, second = q.size, int(q.sum()), int((q * q).sum())
    variance = ((channels * second - first * first) << 12) + epsilon
    k = max(0, (62 - variance.bit_length()) // 2)
    root = isqrt(variance << (2 * k))
    inverse = (1 << 62) // root
    return rounding_shift_right_half_up((channels * q - first) * inverse, 42 - k)
