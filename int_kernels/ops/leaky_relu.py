"""leaky_relu: one factor for numbers of at least 0, another one below (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from int_kernels.bounds import Bounds
from int_kernels.errors import RangeError, ShapeError
from int_kernels.fixed_point import rounding_shift_right_half_up, saturate
from int_kernels.int_type import IntType
from int_kernels.lengths import Length
from int_kernels.ops.base import Array, NativeFields, Step
from int_kernels.ops.checks import Clip, checked_clip, checked_shift
from int_kernels.ops.proof_context import ProofContext, clip_range, require_channels, require_int64
from int_kernels.validation import IntegerArray, integer_array
from int_kernels.values import ValueSpec


@dataclass(frozen=True, eq=False)
class LeakyRelu(Step):
    """y[c, t] = clip((x[c, t] * m[s, c] + 2^(r[c]-1)) >> r[c]), s = 0 where x[c, t] >= 0, else 1.

    multipliers: int32 [2, C], 0 <= m < 2^31, for numbers of at least 0 and for those below; shift: int8 [C], 1 to 62;
    both are copied and read-only. x: any type; clip defaults to the whole range of y's type. Raises ShapeError,
    RangeError.
    """

    name: ClassVar[str] = "leaky_relu"
    code: ClassVar[int] = 11
    is_framewise: ClassVar[bool] = True

    x: str
    y: str
    multipliers: IntegerArray
    shift: IntegerArray
    clip: Clip = None
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"leaky_relu '{self.y}'"
        multipliers = integer_array(self.multipliers, np.int32, 2, f"{where} multipliers")
        shift = checked_shift(where, self.shift)
        if shift.size == 0 or multipliers.shape != (2, shift.size):
            raise ShapeError(
                f"{where}: expected multipliers [2, C] and shift [C], got {list(multipliers.shape)} and "
                f"{list(shift.shape)}"
            )
        if multipliers.min() < 0:
            raise RangeError(f"{where}: expected multipliers of at least 0, got {multipliers.min()}")
        object.__setattr__(self, "multipliers", multipliers)
        object.__setattr__(self, "shift", shift)
        object.__setattr__(self, "clip", checked_clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the value. Raises ShapeError, RangeError."""
        where, x, y = f"leaky_relu '{self.y}'", context.specs[self.x], context.specs[self.y]
        require_channels(where, x, self.shift.size)
        require_channels(where, y, self.shift.size)
        lo, hi = context.ranges[self.x]
        positive, negative = self.multipliers.astype(np.int64)
        low, high = np.minimum(lo, 0) * negative, np.maximum(hi, 0) * positive
        require_int64(where, "channel", [low], [high], self.shift)
        return context.lengths[self.x], clip_range(where, self.clip, y)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[c, t] = clip((x[c, t] * m[s, c] + 2^(r[c]-1)) >> r[c]). [C, T] -> [C, T]."""
        x = xs[0].astype(np.int64)
        positive, negative = self.multipliers.astype(np.int64)[:, :, None]
        scaled = x * np.where(x >= 0, positive, negative)
        lo, hi = self.clip or (y_type.lo, y_type.hi)
        return saturate(rounding_shift_right_half_up(scaled, self.shift[:, None]), lo, hi).astype(y_type.storage)

    def native_rescale(self, y: ValueSpec) -> NativeFields:
        """multiplier [2, C], shift [C]."""
        return {"multiplier": self.multipliers, "shift": self.shift}
