"""attention: multi-head, with relative positions (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from int_kernels.bounds import Bounds
from int_kernels.dyadic import Dyadic
from int_kernels.errors import RangeError, ShapeError
from int_kernels.fixed_point import MAX_SHIFT, rounding_shift_right_half_up, saturate
from int_kernels.int_type import INT32, IntType
from int_kernels.lengths import MAX_FRAMES, Length
from int_kernels.limits import MAX_CHANNELS
from int_kernels.ops.base import Array, NativeFields, Step, rescale_fields
from int_kernels.ops.checks import Clip, checked_clip, require_integer
from int_kernels.ops.exponential import LEAST_OCTAVES, OCTAVE, exp2_negative
from int_kernels.ops.native_struct import CField, NativeStruct
from int_kernels.ops.proof_context import (
    ProofContext,
    clip_range,
    require_channels,
    require_code,
    require_dyadic,
    require_frames,
    require_int64,
    require_narrow,
    require_same_length,
)
from int_kernels.validation import IntegerArray, integer_array
from int_kernels.values import ValueSpec

LARGEST_SCORE = 1 << 29


@dataclass(frozen=True, eq=False)
class Attention(Step):
    """y[d, i] = clip(rescale_d(sum over j of e[i, j] * v[d, j], over the sum of e[i, j], in 1/32768)) with

    e[i, j] = 2^(s[i, j] - max over j of s[i, j]) in 1/16384, s in 1/65536 octaves (SPEC 4, attention):
    s[i, j] = (qu_i . k_j * content[h] + qv_i . p_(T-1-i+j) * position[h] + 2^(shift-1)) >> shift, per head h.

    qu, qv, k, v: names of codes [D, T]; p: of codes [D, 2T - 1]; heads divides D; content, position: int32 [heads], at
    least 0, copied and read-only; shift: 1 to 62; rescale: [D] or [1]; y: codes or int16.
    Raises ShapeError, RangeError.
    """

    name: ClassVar[str] = "attention"
    code: ClassVar[int] = 10
    native_struct = NativeStruct(
        "attention",
        (
            CField("content", "const int32_t *", "[heads], of the products with keys"),
            CField("position", "const int32_t *", "[heads], of the products with positions"),
            CField("heads", "int32_t"),
            CField("shift", "int32_t", "of the scores"),
        ),
    )

    qu: str
    qv: str
    k: str
    v: str
    p: str
    y: str
    heads: int
    content: IntegerArray
    position: IntegerArray
    shift: int
    rescale: Dyadic
    clip: Clip = None
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"attention '{self.y}'"
        require_integer(where, "heads", self.heads, 1, MAX_CHANNELS)
        require_integer(where, "shift", self.shift, 1, MAX_SHIFT)
        for name in ("content", "position"):
            factors = integer_array(getattr(self, name), np.int32, 1, f"{where} {name}")
            if factors.shape != (self.heads,):
                raise ShapeError(f"{where} {name}: expected [{self.heads}], one per head, got {list(factors.shape)}")
            if factors.min() < 0:
                raise RangeError(f"{where} {name}: expected numbers of at least 0, got {factors.min()}")
            object.__setattr__(self, name, factors)
        object.__setattr__(self, "clip", checked_clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.qu, self.qv, self.k, self.v, self.p)

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the result. Raises KernelError, ShapeError, RangeError."""
        where, y = f"attention '{self.y}'", context.specs[self.y]
        require_narrow(where, "y", y)
        for role, name in zip(("qu", "qv", "k", "v", "p"), self.inputs, strict=True):
            require_code(where, role, context.specs[name])
            require_channels(where, context.specs[name], y.channels)
        if y.channels % self.heads:
            raise ShapeError(f"{where} heads: expected a divisor of {y.channels} channels, got {self.heads}")
        require_dyadic(where, self.rescale, y.channels)
        length = require_same_length(where, self.inputs[:4], context)
        require_frames(where, self.qu, length)
        if context.lengths[self.p] != length.positions:
            raise ShapeError(f"{where}: expected '{self.p}' of {length.positions}; it has {context.lengths[self.p]}")
        context.limit_frames(self.qu, MAX_FRAMES)
        _require_scores_fit(where, self, y.channels // self.heads, context)
        return length, clip_range(where, self.clip, y)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[d, i] = clip(rescale_d(weighted mean of v[d, j] over j, in 1/32768)).

        operands: qu, qv, k, v [D, T] and p [D, 2T - 1], codes -> y_type's storage [D, T].
        """
        qu, qv, k, v, p = (x.astype(np.int64).reshape(self.heads, -1, x.shape[1]) for x in xs)
        heads = [average(weights(self, h, qu[h], qv[h], k[h], p[h]), v[h]) for h in range(self.heads)]
        lo, hi = self.clip or (y_type.lo, y_type.hi)
        return saturate(self.rescale.rescale(np.concatenate(heads)), lo, hi).astype(y_type.storage)

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """heads, both factors [heads], the shift of the scores."""
        return {"content": self.content, "position": self.position, "heads": self.heads, "shift": self.shift}

    def native_rescale(self, y: ValueSpec) -> NativeFields:
        """multiplier and shift [D]."""
        return rescale_fields((self.rescale,), y.channels)


def _require_scores_fit(where: str, step: Attention, depth: int, context: ProofContext) -> None:
    types = {name: context.specs[name].type for name in step.inputs}
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


def weights(
    step: Attention,
    head: int,
    qu: NDArray[np.int64],
    qv: NDArray[np.int64],
    k: NDArray[np.int64],
    p: NDArray[np.int64],
) -> NDArray[np.int64]:
    """e[i, j] in 1/16384, 16384 where the score of row i is largest. qu, qv, k: [dk, T], p: [dk, 2T - 1] -> [T, T]."""
    frames = k.shape[1]
    i, j = np.arange(frames)[:, None], np.arange(frames)[None, :]
    content = qu.T @ k
    position = (qv.T @ p)[i, frames - 1 - i + j]
    score = content * np.int64(step.content[head]) + position * np.int64(step.position[head])
    score = saturate(rounding_shift_right_half_up(score, step.shift), -LARGEST_SCORE, LARGEST_SCORE)
    t = np.minimum(score.max(axis=1, keepdims=True) - score, LEAST_OCTAVES * OCTAVE)
    mantissa, octaves = exp2_negative(t)
    return rounding_shift_right_half_up(mantissa, octaves + 3)


def average(e: NDArray[np.int64], v: NDArray[np.int64]) -> NDArray[np.int64]:
    """floor((a * 2^15 + floor(n / 2)) / n), n the sum of e over j, a that of e * v. [T, T], [dk, T] -> [dk, T]."""
    total = e.sum(axis=1)
    mean: NDArray[np.int64] = ((v @ e.T << 15) + (total >> 1)) // total
    return mean
