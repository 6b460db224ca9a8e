"""sum: branches added with one rounding (SPEC 4)."""

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
from int_kernels.ops.checks import Clip, checked_bias, checked_clip, checked_shift, require_names
from int_kernels.ops.native_struct import CField, NativeStruct
from int_kernels.ops.proof_context import ProofContext, clip_range, require_channels, require_int64, require_same_length
from int_kernels.validation import IntegerArray, integer_array
from int_kernels.values import ValueSpec


@dataclass(frozen=True, eq=False)
class Sum(Step):
    """y[c, t] = clip((bias[c] + sum over i of x_i[c, t] * m_i[c] + 2^(r[c]-1)) >> r[c]): one rounding for all branches.

    multipliers: int32 [n, C], 0 <= m < 2^31; shift: int8 [C], 1 to 62; n = len(xs) >= 1; bias: int64 [C], or None for
    zeros. All are copied and read-only. clip defaults to the whole range of y's type. Raises ShapeError, RangeError.
    """

    name: ClassVar[str] = "sum"
    code: ClassVar[int] = 1
    is_framewise: ClassVar[bool] = True
    native_struct = NativeStruct("sum", (CField("bias", "const int64_t *", "[C], or NULL for zeros"),))

    xs: tuple[str, ...]
    y: str
    multipliers: IntegerArray
    shift: IntegerArray
    clip: Clip = None
    bias: IntegerArray | None = None
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"sum '{self.y}'"
        xs = require_names(where, self.xs)
        multipliers = integer_array(self.multipliers, np.int32, 2, f"{where} multipliers")
        shift = checked_shift(where, self.shift)
        if not xs or shift.size == 0 or multipliers.shape != (len(xs), shift.size):
            raise ShapeError(
                f"{where}: expected multipliers [n, C] and shift [C] for n = {len(xs)} inputs, at least one, got "
                f"{list(multipliers.shape)} and {list(shift.shape)}"
            )
        if multipliers.min() < 0:
            raise RangeError(f"{where}: expected multipliers of at least 0, got {multipliers.min()}")
        if self.bias is not None:
            object.__setattr__(self, "bias", checked_bias(where, self.bias, np.int64, shift.size))
        object.__setattr__(self, "xs", xs)
        object.__setattr__(self, "multipliers", multipliers)
        object.__setattr__(self, "shift", shift)
        object.__setattr__(self, "clip", checked_clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.xs

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the result. Raises ShapeError, RangeError."""
        where, y = f"sum '{self.y}'", context.specs[self.y]
        require_channels(where, y, self.shift.size)
        for name in self.xs:
            require_channels(where, context.specs[name], y.channels)
        length = require_same_length(where, self.xs, context)
        factors = [row.astype(np.int64) for row in self.multipliers]
        ranges = [context.ranges[name] for name in self.xs]
        low = [np.minimum(lo, 0) * m for m, (lo, _) in zip(factors, ranges, strict=True)]
        high = [np.maximum(hi, 0) * m for m, (_, hi) in zip(factors, ranges, strict=True)]
        if self.bias is not None:
            low.append(np.minimum(self.bias, 0))
            high.append(np.maximum(self.bias, 0))
        require_int64(where, "channel", low, high, self.shift)
        return length, clip_range(where, self.clip, y)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[c, t] = clip((bias[c] + sum over i of x_i[c, t] * m_i[c] + 2^(r[c]-1)) >> r[c]), n operands [C, T]."""
        total = np.zeros(xs[0].shape, np.int64)
        if self.bias is not None:
            total += self.bias[:, None]
        for x, multiplier in zip(xs, self.multipliers, strict=True):
            total += x.astype(np.int64) * multiplier.astype(np.int64)[:, None]
        lo, hi = self.clip or (y_type.lo, y_type.hi)
        return saturate(rounding_shift_right_half_up(total, self.shift[:, None]), lo, hi).astype(y_type.storage)

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """The bias, where there is one."""
        return {} if self.bias is None else {"bias": self.bias}

    def native_rescale(self, y: ValueSpec) -> NativeFields:
        """multiplier [n, C] and shift [C]."""
        return {"multiplier": self.multipliers, "shift": self.shift}
