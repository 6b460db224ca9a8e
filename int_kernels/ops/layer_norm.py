"""layer_norm: every frame normalised over its channels, by an exact integer square root (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import isqrt
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from int_kernels.bounds import Bounds
from int_kernels.errors import ShapeError
from int_kernels.fixed_point import rounding_shift_right_half_up, saturate
from int_kernels.int_type import IntType
from int_kernels.lengths import Length
from int_kernels.ops.base import Array, NativeFields, Step
from int_kernels.ops.checks import Clip, checked_bias, checked_clip, checked_shift, require_integer
from int_kernels.ops.native_struct import CField, NativeStruct
from int_kernels.ops.proof_context import ProofContext, clip_range, require_channels, require_int64, require_narrow
from int_kernels.validation import IntegerArray, integer_array
from int_kernels.values import ValueSpec

MAX_EPSILON = 1 << 60
MAX_NORM_EXTENT = 1 << 25  # d * 2^(b-1)


@dataclass(frozen=True, eq=False)
class LayerNorm(Step):
    """y[c, t] = clip((z[c, t] * m[c] + bias[c] + 2^(r[c]-1)) >> r[c]), z = (x - mean) / deviation over channels.

    z is in 1/16384 and comes from exact sums and an integer square root (SPEC 4, layer_norm). epsilon: 1 to 2^60, eps
    of the real layer times d^2 / S^2 * 2^12 (S the scale of x); multipliers: int32 [C] of either sign; bias: int64 [C];
    shift: int8 [C], 1 to 62; copied and read-only. x, y: codes or int16. Raises ShapeError, RangeError.
    """

    name: ClassVar[str] = "layer_norm"
    code: ClassVar[int] = 8
    is_framewise: ClassVar[bool] = True
    native_struct = NativeStruct(
        "layer_norm", (CField("bias", "const int64_t *", "[C]"), CField("epsilon", "int64_t", "1 to 2^60"))
    )

    x: str
    y: str
    epsilon: int
    multipliers: IntegerArray
    bias: IntegerArray
    shift: IntegerArray
    clip: Clip = None
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"layer_norm '{self.y}'"
        require_integer(where, "epsilon", self.epsilon, 1, MAX_EPSILON)
        multipliers = integer_array(self.multipliers, np.int32, 1, f"{where} multipliers")
        shift = checked_shift(where, self.shift)
        if shift.size == 0 or multipliers.shape != shift.shape:
            raise ShapeError(
                f"{where}: expected multipliers and shift of the same length [C], at least one, got "
                f"{list(multipliers.shape)} and {list(shift.shape)}"
            )
        object.__setattr__(self, "epsilon", int(self.epsilon))
        object.__setattr__(self, "multipliers", multipliers)
        object.__setattr__(self, "bias", checked_bias(where, self.bias, np.int64, shift.size))
        object.__setattr__(self, "shift", shift)
        object.__setattr__(self, "clip", checked_clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the result. Raises KernelError, ShapeError, RangeError."""
        where, x, y = f"layer_norm '{self.y}'", context.specs[self.x], context.specs[self.y]
        require_narrow(where, "x", x)
        require_narrow(where, "y", y)
        require_channels(where, x, self.shift.size)
        require_channels(where, y, self.shift.size)
        if x.channels << (x.type.bits - 1) > MAX_NORM_EXTENT:
            most = MAX_NORM_EXTENT >> (x.type.bits - 1)
            raise ShapeError(f"{where}: expected at most {most} channels of {x.type}; '{x.name}' has {x.channels}")
        largest = np.abs(self.multipliers.astype(np.int64)) * largest_normalised(x.channels)
        low, high = [-largest, np.minimum(self.bias, 0)], [largest, np.maximum(self.bias, 0)]
        require_int64(where, "channel", low, high, self.shift)
        return context.lengths[self.x], clip_range(where, self.clip, y)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[c, t] = clip((z[c, t] * m[c] + bias[c] + 2^(r[c]-1)) >> r[c]). [C, T] -> y_type's storage [C, T]."""
        frames = [normalise(frame, self.epsilon) for frame in xs[0].T.astype(np.int64)]
        z = np.stack(frames, axis=1)
        scaled = z * self.multipliers.astype(np.int64)[:, None] + self.bias[:, None]
        lo, hi = self.clip or (y_type.lo, y_type.hi)
        return saturate(rounding_shift_right_half_up(scaled, self.shift[:, None]), lo, hi).astype(y_type.storage)

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """epsilon and bias [C]."""
        return {"epsilon": self.epsilon, "bias": self.bias}

    def native_rescale(self, y: ValueSpec) -> NativeFields:
        """multiplier and shift [C]."""
        return {"multiplier": self.multipliers, "shift": self.shift}


def largest_normalised(channels: int) -> int:
    """2^14 * ceil(sqrt(d)): no |z| is larger, as (x - mean) / deviation is at most sqrt(d - 1)."""
    return (isqrt(channels - 1) + 1) << 14


def normalise(q: NDArray[np.int64], epsilon: int) -> NDArray[np.int64]:
    """z = (q - mean) / sqrt(variance + epsilon / (2^12 d^2)) in 1/16384, for the d channels of one frame. int64 [d]."""
    channels, first, second = q.size, int(q.sum()), int((q * q).sum())
    variance = ((channels * second - first * first) << 12) + epsilon
    k = max(0, (62 - variance.bit_length()) // 2)
    root = isqrt(variance << (2 * k))
    inverse = (1 << 62) // root
    return rounding_shift_right_half_up((channels * q - first) * inverse, 42 - k)
