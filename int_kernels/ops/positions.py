"""positions: sinusoids of relative positions, which depend on the length alone (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from int_kernels.bounds import Bounds
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.fixed_point import rounding_shift_right_half_up, saturate
from int_kernels.int_type import INT8, IntType
from int_kernels.lengths import Length
from int_kernels.limits import MAX_CHANNELS
from int_kernels.ops.base import Array, NativeFields, Step
from int_kernels.ops.native_struct import CField, NativeStruct
from int_kernels.ops.proof_context import ProofContext, require_channels, require_frames, same_range
from int_kernels.validation import IntegerArray, integer_array
from int_kernels.values import ValueSpec

TABLE_UNIT = 1 << 14
FINE_POSITIONS = 64


@dataclass(frozen=True, eq=False)
class Positions(Step):
    """y[2d, j], y[2d + 1, j] = round(127 sin(p w_d)), round(127 cos(p w_d)) for p = L - 1 - j, by angle addition.

    fine: int16 [2, D/2, 64], sine (0) and cosine (1) of k w_d in 1/16384 for k = 0 .. 63; coarse: int16 [2, D/2, N], of
    64 i w_d; both copied and read-only, entries in -16384..16384. x: any value of L frames (only its length is read),
    L <= 64 N; y: int8 [D, 2L - 1]. Raises ShapeError, RangeError.
    """

    name: ClassVar[str] = "positions"
    code: ClassVar[int] = 9
    reads_length_only: ClassVar[bool] = True
    native_struct = NativeStruct(
        "positions",
        (
            CField("fine", "const int16_t *", "[2][C/2][64]: sines, then cosines"),
            CField("coarse", "const int16_t *", "[2][C/2][blocks]"),
            CField("blocks", "int32_t", "of 64 positions"),
        ),
    )

    x: str
    y: str
    fine: IntegerArray
    coarse: IntegerArray
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"positions '{self.y}'"
        fine = integer_array(self.fine, np.int16, 3, f"{where} fine")
        coarse = integer_array(self.coarse, np.int16, 3, f"{where} coarse")
        pairs = fine.shape[1]
        is_shaped = fine.shape == (2, pairs, FINE_POSITIONS) and coarse.shape[:2] == (2, pairs)
        if not is_shaped or not 1 <= pairs <= MAX_CHANNELS // 2 or coarse.size == 0:
            raise ShapeError(
                f"{where}: expected fine [2, D/2, {FINE_POSITIONS}] and coarse [2, D/2, N], got {list(fine.shape)} and "
                f"{list(coarse.shape)}"
            )
        for name, table in (("fine", fine), ("coarse", coarse)):
            if table.min() < -TABLE_UNIT or table.max() > TABLE_UNIT:
                raise RangeError(
                    f"{where} {name}: expected entries from {-TABLE_UNIT} to {TABLE_UNIT}, got {table.min()} to "
                    f"{table.max()}"
                )
        object.__setattr__(self, "fine", fine)
        object.__setattr__(self, "coarse", coarse)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)

    @property
    def channels_out(self) -> int:
        """D."""
        return 2 * int(self.fine.shape[1])

    @property
    def most_frames(self) -> int:
        """64 N, the longest x that the tables serve."""
        return FINE_POSITIONS * int(self.coarse.shape[2])

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the result. Raises KernelError, ShapeError."""
        where, y = f"positions '{self.y}'", context.specs[self.y]
        require_channels(where, y, self.channels_out)
        if y.type != INT8:
            raise KernelError(f"{where}: expected int8 for sinusoids; '{y.name}' is {y.type}")
        require_frames(where, self.x, context.lengths[self.x])
        context.limit_frames(self.x, self.most_frames)
        return context.lengths[self.x].positions, same_range(y.channels, -INT8.hi, INT8.hi)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[2d, j], y[2d + 1, j] = sine and cosine of (L - 1 - j) w_d in 1/127, by angle addition: int8 [D, 2L - 1]."""
        frames = xs[0].shape[1]
        position = np.arange(frames - 1, -frames, -1)
        i, k = np.abs(position) >> 6, np.abs(position) & 63
        coarse_sine, coarse_cosine = self.coarse.astype(np.int64)[:, :, i]
        fine_sine, fine_cosine = self.fine.astype(np.int64)[:, :, k]
        sine = coarse_sine * fine_cosine + coarse_cosine * fine_sine
        sine = np.where(position < 0, -sine, sine)
        cosine = coarse_cosine * fine_cosine - coarse_sine * fine_sine
        y = np.stack([sine, cosine], axis=1).reshape(self.channels_out, -1)
        return saturate(rounding_shift_right_half_up(127 * y, 28), -127, 127).astype(np.int8)

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """Both tables, and how many blocks of 64 positions the coarse one has."""
        return {"fine": self.fine, "coarse": self.coarse, "blocks": self.coarse.shape[2]}
