"""max_pool: the largest of neighbouring frames (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from int_kernels.bounds import Bounds
from int_kernels.errors import KernelError
from int_kernels.int_type import IntType
from int_kernels.lengths import Length
from int_kernels.limits import MAX_EXTENT
from int_kernels.ops.base import Array, NativeFields, Step
from int_kernels.ops.checks import require_integer
from int_kernels.ops.native_struct import CField, NativeStruct
from int_kernels.ops.proof_context import ProofContext, require_channels, require_frames, require_narrow
from int_kernels.values import ValueSpec


@dataclass(frozen=True)
class MaxPool(Step):
    """y[c, t] = max over k of x[c, t*stride + k - padding], over the frames that exist.

    kernel, stride: 1 to 2^15; padding: 0 to kernel // 2, so that each window has at least one frame. x: codes or
    int16; y: of the same type and scale. Raises RangeError.
    """

    name: ClassVar[str] = "max_pool"
    code: ClassVar[int] = 12
    native_struct = NativeStruct(
        "max_pool",
        (
            CField("kernel", "int32_t", "frames of a window"),
            CField("stride", "int32_t"),
            CField("padding", "int32_t", "at most kernel / 2"),
        ),
    )

    x: str
    y: str
    kernel: int
    stride: int = 1
    padding: int = 0
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"max_pool '{self.y}'"
        require_integer(where, "kernel", self.kernel, 1, MAX_EXTENT)
        require_integer(where, "stride", self.stride, 1, MAX_EXTENT)
        require_integer(where, "padding", self.padding, 0, self.kernel // 2)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the value, which is that of x. Raises KernelError, ShapeError."""
        where, x, y = f"max_pool '{self.y}'", context.specs[self.x], context.specs[self.y]
        require_narrow(where, "x", x)
        require_channels(where, y, x.channels)
        require_frames(where, self.x, context.lengths[self.x])
        if y.type != x.type:
            raise KernelError(f"{where}: expected '{y.name}' of the type of '{x.name}', {x.type}; it is {y.type}")
        return context.lengths[self.x].after_conv(self.kernel, self.stride, 1, self.padding), context.ranges[self.x]

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[c, t] = max over k of x[c, t*stride + k - padding]. [C, T] -> [C, T']."""
        edges = ((0, 0), (self.padding, self.padding))
        padded = np.pad(xs[0], edges, constant_values=types[0].lo)  # no number is below lo
        windows = np.lib.stride_tricks.sliding_window_view(padded, self.kernel, axis=1)[:, :: self.stride]
        largest: Array = windows.max(axis=2).astype(y_type.storage)
        return largest

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """kernel, stride, padding."""
        return {"kernel": self.kernel, "stride": self.stride, "padding": self.padding}
