"""Relative positions and the attention that reads them (SPEC 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from int_kernels.dyadic import Dyadic
from int_kernels.errors import RangeError, ShapeError
from int_kernels.fixed_point import MAX_SHIFT
from int_kernels.steps._checks import MAX_CHANNELS, Clip, checked_clip, require_integer
from int_kernels.validation import integer_array

TABLE_UNIT = 1 << 14
FINE_POSITIONS = 64


@dataclass(frozen=True, eq=False)
class Positions:
    """y[2d, j], y[2d + 1, j] = round(127 sin(p w_d)), round(127 cos(p w_d)) for p = L - 1 - j, by angle addition.

    fine: int16 [2, D/2, 64], sine (0) and cosine (1) of k w_d in 1/16384 for k = 0 .. 63; coarse: int16 [2, D/2, N], of
    64 i w_d; both copied and read-only, entries in -16384..16384. x: any value of L frames (only its length is read),
    L <= 64 N; y: int8 [D, 2L - 1]. Raises ShapeError, RangeError.
    """

    x: str
    y: str
    fine: NDArray[np.int16]
    coarse: NDArray[np.int16]
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


@dataclass(frozen=True, eq=False)
class Attention:
    """y[d, i] = clip(rescale_d(sum over j of e[i, j] * v[d, j], over the sum of e[i, j], in 1/32768)) with

    e[i, j] = 2^(s[i, j] - max over j of s[i, j]) in 1/16384, s in 1/65536 octaves (SPEC 4, attention):
    s[i, j] = (qu_i . k_j * content[h] + qv_i . p_(T-1-i+j) * position[h] + 2^(shift-1)) >> shift, per head h.

    qu, qv, k, v: names of codes [D, T]; p: of codes [D, 2T - 1]; heads divides D; content, position: int32 [heads], at
    least 0, copied and read-only; shift: 1 to 62; rescale: [D] or [1]; y: codes or int16.
    Raises ShapeError, RangeError.
    """

    qu: str
    qv: str
    k: str
    v: str
    p: str
    y: str
    heads: int
    content: NDArray[np.int32]
    position: NDArray[np.int32]
    shift: int
    rescale: Dyadic
    clip: Clip = None
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"attention '{self.y}'"
        require_integer(where, "heads", self.heads, 1, MAX_CHANNELS)
        require_integer(where, "shift", self.shift, 1, MAX_SHIFT)
        for name in ("content", "position"):
            factors = integer_array(getattr(self, name), np.int32, 1, f"{where} {name}")
            if factors.shape != (self.heads,):
                raise ShapeError(f"{where} {name}: expected [{self.heads}], one per head, got {list(factors.shape)}")
            if factors.min() < 0:
                raise RangeError(f"{where} {name}: expected numbers of at least 0, got {factors.min()}")
            object.__setattr__(self, name, factors)
        object.__setattr__(self, "clip", checked_clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.qu, self.qv, self.k, self.v, self.p)
