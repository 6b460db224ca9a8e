"""What sum, multiply, lookup and activation need, and that their 64-bit sums cannot overflow (SPEC 5)."""

from __future__ import annotations

import numpy as np

from int_kernels.bounds import Bounds, multiply_bounds
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.int_type import INT32
from int_kernels.lengths import ONCE, Length
from int_kernels.proofs._known import (
    Known,
    clip_range,
    require_channels,
    require_code,
    require_dyadic,
    require_int64,
    require_narrow,
    require_same_length,
    same_range,
)
from int_kernels.steps import Activation, Lookup, Multiply, Sum


def prove_sum(step: Sum, known: Known) -> tuple[Length, Bounds]:
    """Length and range of the result. Raises ShapeError, RangeError."""
    where, y = f"sum '{step.y}'", known.specs[step.y]
    require_channels(where, y, step.shift.size)
    for name in step.xs:
        require_channels(where, known.specs[name], y.channels)
    length = require_same_length(where, step.xs, known)
    factors = [row.astype(np.int64) for row in step.multipliers]
    ranges = [known.ranges[name] for name in step.xs]
    low = [np.minimum(lo, 0) * m for m, (lo, _) in zip(factors, ranges, strict=True)]
    high = [np.maximum(hi, 0) * m for m, (_, hi) in zip(factors, ranges, strict=True)]
    if step.bias is not None:
        low.append(np.minimum(step.bias, 0))
        high.append(np.maximum(step.bias, 0))
    require_int64(where, "channel", low, high, step.shift)
    return length, clip_range(where, step.clip, y)


def prove_multiply(step: Multiply, known: Known) -> tuple[Length, Bounds]:
    """Length and exact range of the result. Raises KernelError, ShapeError."""
    where, y = f"multiply '{step.y}'", known.specs[step.y]
    for role, name in zip(("x_1", "x_2"), step.xs, strict=True):
        require_narrow(where, role, known.specs[name])
        require_channels(where, known.specs[name], y.channels)
    if y.type != INT32:
        raise KernelError(f"{where}: expected int32 for a product; '{y.name}' is {y.type}; let a Sum rescale it")
    a, b = step.xs
    if known.lengths[b] not in (known.lengths[a], ONCE):
        raise ShapeError(
            f"{where}: expected '{b}' as long as '{a}' for every T, or of length once; "
            f"they have {known.lengths[b]} and {known.lengths[a]}"
        )
    return known.lengths[a], multiply_bounds(known.ranges[a], known.ranges[b])


def prove_lookup(step: Lookup, known: Known) -> tuple[Length, Bounds]:
    """Length and range of the result. Raises KernelError, ShapeError, RangeError."""
    where, x, y = f"lookup '{step.y}'", known.specs[step.x], known.specs[step.y]
    require_code(where, "x", x)
    require_narrow(where, "y", y)
    require_channels(where, y, x.channels)
    if step.table.size != 1 << x.type.bits:
        raise ShapeError(
            f"{where} table: expected {1 << x.type.bits} entries, one per code of {x.type}, got {step.table.size}"
        )
    lo, hi = int(step.table.min()), int(step.table.max())
    if lo < y.type.lo or hi > y.type.hi:
        raise RangeError(
            f"{where} table: expected entries within {y.type}, {y.type.lo} to {y.type.hi}, got {lo} to {hi}"
        )
    return known.lengths[step.x], same_range(y.channels, lo, hi)


def prove_activation(step: Activation, known: Known) -> tuple[Length, Bounds]:
    """Length and range of the result; 64 bits always suffice. Raises KernelError, ShapeError, RangeError."""
    where, y = f"activation '{step.y}'", known.specs[step.y]
    require_narrow(where, "y", y)
    for name, rescale in zip(step.xs, step.rescales, strict=True):
        require_channels(where, known.specs[name], y.channels)
        require_dyadic(where, rescale, y.channels)
    return require_same_length(where, step.xs, known), clip_range(where, step.clip, y)
