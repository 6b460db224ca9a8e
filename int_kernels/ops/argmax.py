"""argmax: the channel with the largest value (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from int_kernels.bounds import Bounds
from int_kernels.errors import KernelError
from int_kernels.int_type import INT32, IntType
from int_kernels.lengths import Length
from int_kernels.ops.base import Array, Step
from int_kernels.ops.proof_context import ProofContext, require_channels


@dataclass(frozen=True)
class Argmax(Step):
    """y[0, t] = the lowest c at which x[c, t] is the maximum over channels; y: int32 [1, T]."""

    name: ClassVar[str] = "argmax"
    code: ClassVar[int] = 2

    x: str
    y: str
    origin: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the result. Raises KernelError, ShapeError."""
        where, y = f"argmax '{self.y}'", context.specs[self.y]
        require_channels(where, y, 1)
        if y.type != INT32:
            raise KernelError(f"{where}: expected int32 for channel indices; '{y.name}' is {y.type}")
        last = context.specs[self.x].channels - 1
        return context.lengths[self.x], (np.zeros(1, np.int64), np.full(1, last, np.int64))

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[0, t] = the lowest c at which x[c, t] is the maximum over c. [C, T] -> int32 [1, T]."""
        first: NDArray[np.int32] = np.argmax(xs[0], axis=0).astype(np.int32)  # numpy takes the first of equals
        return first[None, :]
