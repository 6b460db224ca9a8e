"""What mean, layer_norm and argmax need, and that layer_norm's 64-bit numbers cannot overflow (SPEC 5)."""

from __future__ import annotations

from math import isqrt

import numpy as np

from int_kernels.bounds import Bounds
from int_kernels.errors import KernelError, ShapeError
from int_kernels.int_type import INT32
from int_kernels.lengths import MAX_FRAMES, ONCE, Length
from int_kernels.proofs._known import (
    Known,
    clip_range,
    require_channels,
    require_code,
    require_dyadic,
    require_int64,
    require_narrow,
)
from int_kernels.steps import Argmax, LayerNorm, Mean

MAX_NORM_EXTENT = 1 << 25  # d * 2^(b-1)


def prove_mean(step: Mean, known: Known) -> tuple[Length, Bounds]:
    """Length and range of the result. Raises KernelError, ShapeError, RangeError."""
    where, x, y = f"mean '{step.y}'", known.specs[step.x], known.specs[step.y]
    require_code(where, "x", x)
    require_narrow(where, "y", y)
    require_channels(where, y, x.channels)
    require_dyadic(where, step.rescale, y.channels)
    known.limit_frames(step.x, MAX_FRAMES)
    return ONCE, clip_range(where, step.clip, y)


def prove_layer_norm(step: LayerNorm, known: Known) -> tuple[Length, Bounds]:
    """Length and range of the result. Raises KernelError, ShapeError, RangeError."""
    where, x, y = f"layer_norm '{step.y}'", known.specs[step.x], known.specs[step.y]
    require_narrow(where, "x", x)
    require_narrow(where, "y", y)
    require_channels(where, x, step.shift.size)
    require_channels(where, y, step.shift.size)
    if x.channels << (x.type.bits - 1) > MAX_NORM_EXTENT:
        most = MAX_NORM_EXTENT >> (x.type.bits - 1)
        raise ShapeError(f"{where}: expected at most {most} channels of {x.type}; '{x.name}' has {x.channels}")
    largest = np.abs(step.multipliers.astype(np.int64)) * largest_normalised(x.channels)
    low, high = [-largest, np.minimum(step.bias, 0)], [largest, np.maximum(step.bias, 0)]
    require_int64(where, "channel", low, high, step.shift)
    return known.lengths[step.x], clip_range(where, step.clip, y)


def largest_normalised(channels: int) -> int:
    """2^14 * ceil(sqrt(d)): no |z| is larger, as (x - mean) / deviation is at most sqrt(d - 1)."""
    return (isqrt(channels - 1) + 1) << 14


def prove_argmax(step: Argmax, known: Known) -> tuple[Length, Bounds]:
    """Length and range of the result. Raises KernelError, ShapeError."""
    where, y = f"argmax '{step.y}'", known.specs[step.y]
    require_channels(where, y, 1)
    if y.type != INT32:
        raise KernelError(f"{where}: expected int32 for channel indices; '{y.name}' is {y.type}")
    last = known.specs[step.x].channels - 1
    return known.lengths[step.x], (np.zeros(1, np.int64), np.full(1, last, np.int64))
