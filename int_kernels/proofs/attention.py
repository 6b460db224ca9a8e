"""What positions and attention need, and that the scores fit their 32 and 64 bits (SPEC 5)."""

from __future__ import annotations

import numpy as np

from int_kernels.bounds import Bounds
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.int_type import INT8, INT32, IntType
from int_kernels.lengths import MAX_FRAMES, Length
from int_kernels.proofs._known import (
    Known,
    clip_range,
    require_channels,
    require_code,
    require_dyadic,
    require_frames,
    require_int64,
    require_narrow,
    require_same_length,
    same_range,
)
from int_kernels.steps import Attention, Positions


def prove_positions(step: Positions, known: Known) -> tuple[Length, Bounds]:
    """Length and range of the result. Raises KernelError, ShapeError."""
    where, y = f"positions '{step.y}'", known.specs[step.y]
    require_channels(where, y, step.channels_out)
    if y.type != INT8:
        raise KernelError(f"{where}: expected int8 for sinusoids; '{y.name}' is {y.type}")
    require_frames(where, step.x, known.lengths[step.x])
    known.limit_frames(step.x, step.most_frames)
    return known.lengths[step.x].positions, same_range(y.channels, -INT8.hi, INT8.hi)


def prove_attention(step: Attention, known: Known) -> tuple[Length, Bounds]:
    """Length and range of the result. Raises KernelError, ShapeError, RangeError."""
    where, y = f"attention '{step.y}'", known.specs[step.y]
    require_narrow(where, "y", y)
    for role, name in zip(("qu", "qv", "k", "v", "p"), step.inputs, strict=True):
        require_code(where, role, known.specs[name])
        require_channels(where, known.specs[name], y.channels)
    if y.channels % step.heads:
        raise ShapeError(f"{where} heads: expected a divisor of {y.channels} channels, got {step.heads}")
    require_dyadic(where, step.rescale, y.channels)
    length = require_same_length(where, step.inputs[:4], known)
    require_frames(where, step.qu, length)
    if known.lengths[step.p] != length.positions:
        raise ShapeError(f"{where}: expected '{step.p}' of {length.positions}; it has {known.lengths[step.p]}")
    known.limit_frames(step.qu, MAX_FRAMES)
    _require_scores_fit(where, step, y.channels // step.heads, known)
    return length, clip_range(where, step.clip, y)


def _require_scores_fit(where: str, step: Attention, depth: int, known: Known) -> None:
    types = {name: known.specs[name].type for name in step.inputs}
    largest = []
    for a, b in ((step.qu, step.k), (step.qv, step.p)):
        bound = depth * _magnitude(types[a]) * _magnitude(types[b])
        if bound > INT32.hi:
            raise RangeError(
                f"{where}: expected products of '{a}' and '{b}' within int32; the worst case of {depth} channels per "
                f"head is {bound}; use more heads or fewer bits"
            )
        largest.append(bound)
    terms = [
        factors.astype(np.int64) * bound for factors, bound in zip((step.content, step.position), largest, strict=True)
    ]
    require_int64(where, "head", [-term for term in terms], terms, np.full(step.heads, step.shift, np.int8))


def _magnitude(code_type: IntType) -> int:
    return max(-code_type.lo, code_type.hi)
