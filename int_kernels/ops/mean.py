"""mean: over time (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from int_kernels.bounds import Bounds
from int_kernels.dyadic import Dyadic
from int_kernels.errors import RangeError
from int_kernels.fixed_point import saturate
from int_kernels.int_type import IntType
from int_kernels.lengths import MAX_FRAMES, ONCE, Length
from int_kernels.ops.base import Array, NativeFields, Step, rescale_fields
from int_kernels.ops.checks import Clip, checked_clip
from int_kernels.ops.proof_context import (
    ProofContext,
    clip_range,
    require_channels,
    require_code,
    require_dyadic,
    require_narrow,
)
from int_kernels.values import ValueSpec

MAX_MEAN_SHIFT = 40


@dataclass(frozen=True, eq=False)
class Mean(Step):
    """y[c, 0] = clip(floor((2*s*m + n*2^r) / (n*2^(r+1)))), s the sum of x[c, t] over its n frames.

    The mean over time, times the dyadic number m / 2^r, rounded half up once. rescale: [C] or [1] with shifts of 1 to
    40; x: codes; y: codes or int16 of length *once*; clip defaults to the whole range of y's type. Raises RangeError.
    """

    name: ClassVar[str] = "mean"
    code: ClassVar[int] = 5

    x: str
    y: str
    rescale: Dyadic
    clip: Clip = None
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"mean '{self.y}'"
        if self.rescale.shift.max() > MAX_MEAN_SHIFT:
            raise RangeError(f"{where}: expected shifts of 1 to {MAX_MEAN_SHIFT}, got {self.rescale.shift.max()}")
        object.__setattr__(self, "clip", checked_clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the result. Raises KernelError, ShapeError, RangeError."""
        where, x, y = f"mean '{self.y}'", context.specs[self.x], context.specs[self.y]
        require_code(where, "x", x)
        require_narrow(where, "y", y)
        require_channels(where, y, x.channels)
        require_dyadic(where, self.rescale, y.channels)
        context.limit_frames(self.x, MAX_FRAMES)
        return ONCE, clip_range(where, self.clip, y)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[c, 0] = clip(floor((2*s*m + n*2^r) / (n*2^(r+1)))), s the sum over n frames. [C, T] -> [C, 1]."""
        x = xs[0]
        frames = x.shape[1]
        total = x.astype(np.int64).sum(axis=1)
        multiplier, shift = self.rescale.multiplier.astype(np.int64), self.rescale.shift.astype(np.int64)
        unit = np.int64(frames) << shift
        result = (2 * total * multiplier + unit) // (2 * unit)
        lo, hi = self.clip or (y_type.lo, y_type.hi)
        return saturate(result, lo, hi).astype(y_type.storage)[:, None]

    def native_rescale(self, y: ValueSpec) -> NativeFields:
        """multiplier and shift [C]."""
        return rescale_fields((self.rescale,), y.channels)
