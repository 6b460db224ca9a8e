"""activation: sigmoid, tanh, swish, gelu and glu by second-order polynomials (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from int_kernels.bounds import Bounds
from int_kernels.dyadic import MULTIPLIER_HI, Dyadic
from int_kernels.errors import KernelError, ShapeError
from int_kernels.fixed_point import MAX_SHIFT, rounding_shift_right_half_up, saturate
from int_kernels.int_type import IntType
from int_kernels.lengths import Length
from int_kernels.ops.base import Array, NativeFields, Step, rescale_fields
from int_kernels.ops.checks import Clip, checked_clip, require_integer, require_names
from int_kernels.ops.exponential import sigma
from int_kernels.ops.native_struct import CField, NativeEnum, NativeStruct
from int_kernels.ops.proof_context import (
    ProofContext,
    clip_range,
    require_channels,
    require_dyadic,
    require_narrow,
    require_same_length,
)
from int_kernels.values import ValueSpec

ACTIVATIONS = {"sigmoid": 1, "tanh": 1, "swish": 1, "gelu": 1, "glu": 2}
"""Kind of activation -> how many operands it reads."""

MAX_ACTIVATION_OFFSET = 1 << 16
LARGEST = 1 << 16  # of |u|, 64 in 1/1024


@dataclass(frozen=True, eq=False)
class Activation(Step):
    """y[c, t] = clip(((v * multiplier + 2^(shift-1)) >> shift) + offset), v the function `kind` of

    u_i[c, t] = saturate(rescale_i,c(x_i[c, t]), -65536, 65536), 1024 for 1.0 (SPEC 4, activation).

    kind: sigmoid, tanh, swish, gelu (one operand) or glu (two: factor, gate). v is in 1/32768 for sigmoid and tanh,
    else in the unit of u_1 times 1/32768. rescales: one Dyadic per operand, [C] or [1]; for tanh it carries a factor 2.
    multiplier 0 or 2^30 <= m < 2^31; 1 <= shift <= 62; |offset| <= 65536; clip defaults to the whole range of y's
    type, codes or int16. Raises KernelError, ShapeError, RangeError.
    """

    name: ClassVar[str] = "activation"
    code: ClassVar[int] = 7
    is_framewise: ClassVar[bool] = True
    native_struct = NativeStruct(
        "activation",
        (
            CField("kind", "int32_t", "zq_activation_kind"),
            CField("multiplier", "int32_t", "of v"),
            CField("shift", "int32_t", "of v * multiplier"),
            CField("offset", "int32_t", "added after the shift"),
        ),
    )
    native_enums = (NativeEnum("zq_activation_kind", tuple(ACTIVATIONS)),)

    kind: str
    xs: tuple[str, ...]
    y: str
    rescales: tuple[Dyadic, ...]
    multiplier: int
    shift: int
    offset: int = 0
    clip: Clip = None
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"activation '{self.y}'"
        if not isinstance(self.kind, str) or self.kind not in ACTIVATIONS:
            raise KernelError(f"{where} kind: expected one of {', '.join(ACTIVATIONS)}, got {self.kind!r}")
        xs, count = require_names(where, self.xs), ACTIVATIONS[self.kind]
        rescales = tuple(self.rescales) if isinstance(self.rescales, tuple | list) else (self.rescales,)
        if len(xs) != count or len(rescales) != count or not all(isinstance(r, Dyadic) for r in rescales):
            raise ShapeError(
                f"{where}: expected {count} names and {count} Dyadic rescales for {self.kind}, got {len(xs)} and "
                f"{len(rescales)}"
            )
        require_integer(where, "multiplier", self.multiplier, 0, MULTIPLIER_HI)
        require_integer(where, "shift", self.shift, 1, MAX_SHIFT)
        Dyadic(np.array([self.multiplier]), np.array([self.shift]))
        require_integer(where, "offset", self.offset, -MAX_ACTIVATION_OFFSET, MAX_ACTIVATION_OFFSET)
        object.__setattr__(self, "xs", xs)
        object.__setattr__(self, "rescales", rescales)
        object.__setattr__(self, "clip", checked_clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.xs

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the result; 64 bits always suffice. Raises KernelError, ShapeError, RangeError."""
        where, y = f"activation '{self.y}'", context.specs[self.y]
        require_narrow(where, "y", y)
        for name, rescale in zip(self.xs, self.rescales, strict=True):
            require_channels(where, context.specs[name], y.channels)
            require_dyadic(where, rescale, y.channels)
        return require_same_length(where, self.xs, context), clip_range(where, self.clip, y)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[c, t] = clip(((v * m + 2^(r-1)) >> r) + offset). xs: one or two of [C, T] -> y_type's storage [C, T]."""
        us = [saturate(ratio.rescale(x), -LARGEST, LARGEST) for x, ratio in zip(xs, self.rescales, strict=True)]
        v = activate(self.kind, us)
        lo, hi = self.clip or (y_type.lo, y_type.hi)
        scaled = rounding_shift_right_half_up(v * np.int64(self.multiplier), self.shift)
        return saturate(scaled + self.offset, lo, hi).astype(y_type.storage)

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """The kind, and how v becomes the result."""
        return {
            "kind": list(ACTIVATIONS).index(self.kind),
            "multiplier": self.multiplier,
            "shift": self.shift,
            "offset": self.offset,
        }

    def native_rescale(self, y: ValueSpec) -> NativeFields:
        """multiplier and shift [operands, C]: of the operands, not of y."""
        return rescale_fields(self.rescales, y.channels)


def activate(kind: str, us: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """v of the operands u, |u| <= 65536: in 1/32768 for sigmoid and tanh, else in 1/32768 of u_1's unit."""
    u = us[0]
    if kind == "sigmoid":
        return sigma(u)
    if kind == "tanh":
        return 2 * sigma(u) - 32768
    if kind == "swish":
        return u * sigma(u)
    if kind == "glu":
        return u * sigma(us[1])
    return u * sigma(saturate(gelu_argument(u), -LARGEST, LARGEST))


def gelu_argument(u: NDArray[np.int64]) -> NDArray[np.int64]:
    """w = 2 sqrt(2/pi) (u + 0.044715 u^3), so that gelu(u) ~ u * logistic(w); u and w in 1/1024."""
    cubic = (((u * u + 512) >> 10) * 4676 + 512) >> 10
    return (u * (104580 + cubic) + 32768) >> 16
