"""multiply: the exact product of two values (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from int_kernels.bounds import Bounds, multiply_bounds
from int_kernels.errors import KernelError, ShapeError
from int_kernels.int_type import INT32, IntType
from int_kernels.lengths import ONCE, Length
from int_kernels.ops.base import Array, Step
from int_kernels.ops.checks import require_names
from int_kernels.ops.proof_context import ProofContext, require_channels, require_narrow


@dataclass(frozen=True)
class Multiply(Step):
    """y[c, t] = x_1[c, t] * x_2[c, t], or x_1[c, t] * x_2[c, 0] when x_2 has the length *once*; y: int32, exact.

    xs: the names (x_1, x_2), of codes or int16. Raises KernelError, ShapeError.
    """

    name: ClassVar[str] = "multiply"
    code: ClassVar[int] = 4
    is_framewise: ClassVar[bool] = True

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

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and exact range of the result. Raises KernelError, ShapeError."""
        where, y = f"multiply '{self.y}'", context.specs[self.y]
        for role, name in zip(("x_1", "x_2"), self.xs, strict=True):
            require_narrow(where, role, context.specs[name])
            require_channels(where, context.specs[name], y.channels)
        if y.type != INT32:
            raise KernelError(f"{where}: expected int32 for a product; '{y.name}' is {y.type}; let a Sum rescale it")
        a, b = self.xs
        if context.lengths[b] not in (context.lengths[a], ONCE):
            raise ShapeError(
                f"{where}: expected '{b}' as long as '{a}' for every T, or of length once; "
                f"they have {context.lengths[b]} and {context.lengths[a]}"
            )
        return context.lengths[a], multiply_bounds(context.ranges[a], context.ranges[b])

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[c, t] = a[c, t] * b[c, t], or a[c, t] * b[c, 0]. a: [C, T], b: [C, T] or [C, 1] -> int32 [C, T]."""
        a, b = xs
        return (a.astype(np.int64) * b.astype(np.int64)).astype(np.int32)  # codes or int16: at most 2^30
