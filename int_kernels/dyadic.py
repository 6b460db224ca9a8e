"""Dyadic numbers m / 2^r, the only multipliers at run time (SPEC 2)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import RangeError, ShapeError
from int_kernels.fixed_point import MAX_SHIFT, rounding_shift_right_half_up
from int_kernels.validation import IntegerArray, integer_array

MULTIPLIER_LO = 1 << 30
MULTIPLIER_HI = (1 << 31) - 1


@dataclass(frozen=True, eq=False)
class Dyadic:
    """multiplier / 2**shift, for a whole tensor ([1]) or per output channel ([C]).

    multiplier: int32 [C|1], 2^30 <= m < 2^31, or 0; shift: int8 [C|1], 1 <= r <= 62; of one length, read-only.
    There is no constructor from a real number: whoever has a scale rounds it to a multiplier himself.
    Raises ShapeError, RangeError.
    """

    multiplier: IntegerArray
    shift: IntegerArray

    def __post_init__(self) -> None:
        multiplier = integer_array(np.atleast_1d(self.multiplier), np.int32, 1, "Dyadic.multiplier")
        shift = integer_array(np.atleast_1d(self.shift), np.int8, 1, "Dyadic.shift")
        if multiplier.size == 0 or multiplier.shape != shift.shape:
            raise ShapeError(
                f"Dyadic: expected one shift per multiplier, at least one, got {multiplier.size} multipliers and "
                f"{shift.size} shifts"
            )
        wrong = (multiplier != 0) & (multiplier < MULTIPLIER_LO)
        if wrong.any():
            raise RangeError(
                f"Dyadic.multiplier: expected 0 or {MULTIPLIER_LO} to {MULTIPLIER_HI}, got {multiplier[wrong][0]}; "
                "normalise it: shift the multiplier left and raise the shift until it fits"
            )
        if shift.min() < 1 or shift.max() > MAX_SHIFT:
            raise RangeError(
                f"Dyadic.shift: expected 1 to {MAX_SHIFT}, got {shift.min()} to {shift.max()}; "
                "use multiplier 0 for a ratio too small to matter, and a larger output scale for one too large"
            )
        object.__setattr__(self, "multiplier", multiplier)
        object.__setattr__(self, "shift", shift)

    @property
    def channels(self) -> int:
        """C, or 1 when one number serves the whole tensor."""
        return int(self.multiplier.size)

    def require_channels(self, channels: int) -> None:
        """Raises ShapeError unless there are 1 or `channels` numbers."""
        if self.channels not in (1, channels):
            raise ShapeError(f"Dyadic: expected 1 or {channels} multipliers (one per channel), got {self.channels}")

    def per_channel(self, channels: int) -> Dyadic:
        """The same numbers, written once per channel. Raises ShapeError when there are neither 1 nor `channels`."""
        self.require_channels(channels)
        return Dyadic(np.broadcast_to(self.multiplier, channels), np.broadcast_to(self.shift, channels))

    def rescale(self, accumulator: NDArray[Any]) -> NDArray[np.int64]:
        """(acc * m + 2^(r-1)) >> r, one rounding. accumulator: int32 values [C, T] -> int64 [C, T]."""
        product = accumulator.astype(np.int64) * self.multiplier.astype(np.int64)[:, None]
        return rounding_shift_right_half_up(product, self.shift[:, None])
