"""The ops that look at one frame of one channel at a time (SPEC 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from int_kernels.dyadic import MULTIPLIER_HI, Dyadic
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.fixed_point import MAX_SHIFT
from int_kernels.steps._checks import (
    Clip,
    checked_bias,
    checked_clip,
    checked_shift,
    require_integer,
    require_names,
)
from int_kernels.validation import integer_array

ACTIVATIONS = {"sigmoid": 1, "tanh": 1, "swish": 1, "gelu": 1, "glu": 2}
"""Kind of activation -> how many operands it reads."""

MAX_ACTIVATION_OFFSET = 1 << 16


@dataclass(frozen=True, eq=False)
class Sum:
    """y[c, t] = clip((bias[c] + sum over i of x_i[c, t] * m_i[c] + 2^(r[c]-1)) >> r[c]): one rounding for all branches.

    multipliers: int32 [n, C], 0 <= m < 2^31; shift: int8 [C], 1 to 62; n = len(xs) >= 1; bias: int64 [C], or None for
    zeros. All are copied and read-only. clip defaults to the whole range of y's type. Raises ShapeError, RangeError.
    """

    xs: tuple[str, ...]
    y: str
    multipliers: NDArray[np.int32]
    shift: NDArray[np.int8]
    clip: Clip = None
    bias: NDArray[np.int64] | None = None
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


@dataclass(frozen=True)
class Multiply:
    """y[c, t] = x_1[c, t] * x_2[c, t], or x_1[c, t] * x_2[c, 0] when x_2 has the length *once*; y: int32, exact.

    xs: the names (x_1, x_2), of codes or int16. Raises KernelError, ShapeError.
    """

    xs: tuple[str, str]
    y: str
    origin: str = ""

    def __post_init__(self) -> None:
        xs = require_names(f"multiply '{self.y}'", self.xs)
        if len(xs) != 2:
            raise ShapeError(f"multiply '{self.y}' xs: expected two names, got {xs!r}")
        object.__setattr__(self, "xs", xs)

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.xs


@dataclass(frozen=True, eq=False)
class Lookup:
    """y[c, t] = table[x[c, t] - lo_x].

    table: int16 [2^b], b the bits of x (a code type); copied and read-only; each entry within y's type, codes or int16.
    Raises ShapeError, RangeError.
    """

    x: str
    y: str
    table: NDArray[np.int16]
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"lookup '{self.y}'"
        table = integer_array(self.table, np.int16, 1, f"{where} table")
        if table.size not in {1 << bits for bits in range(2, 9)}:
            raise ShapeError(f"{where} table: expected 2^b entries for codes of b = 2 to 8 bits, got {table.size}")
        object.__setattr__(self, "table", table)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)


@dataclass(frozen=True, eq=False)
class Activation:
    """y[c, t] = clip(((v * multiplier + 2^(shift-1)) >> shift) + offset), v the function `kind` of

    u_i[c, t] = saturate(rescale_i,c(x_i[c, t]), -65536, 65536), 1024 for 1.0 (SPEC 4, activation).

    kind: sigmoid, tanh, swish, gelu (one operand) or glu (two: factor, gate). v is in 1/32768 for sigmoid and tanh,
    else in the unit of u_1 times 1/32768. rescales: one Dyadic per operand, [C] or [1]; for tanh it carries a factor 2.
    multiplier 0 or 2^30 <= m < 2^31; 1 <= shift <= 62; |offset| <= 65536; clip defaults to the whole range of y's
    type, codes or int16. Raises KernelError, ShapeError, RangeError.
    """

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
        if self.kind not in ACTIVATIONS:
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
