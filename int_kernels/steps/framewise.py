"""The ops over all channels of a frame, or over all frames of a channel (SPEC 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from int_kernels.dyadic import Dyadic
from int_kernels.errors import RangeError, ShapeError
from int_kernels.steps._checks import Clip, checked_bias, checked_clip, checked_shift, require_integer
from int_kernels.validation import integer_array

MAX_EPSILON = 1 << 60
MAX_MEAN_SHIFT = 40


@dataclass(frozen=True, eq=False)
class Mean:
    """y[c, 0] = clip(floor((2*s*m + n*2^r) / (n*2^(r+1)))), s the sum of x[c, t] over its n frames.

    The mean over time, times the dyadic number m / 2^r, rounded half up once. rescale: [C] or [1] with shifts of 1 to
    40; x: codes; y: codes or int16 of length *once*; clip defaults to the whole range of y's type. Raises RangeError.
    """

    x: str
    y: str
    rescale: Dyadic
    clip: Clip = None
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"mean '{self.y}'"
        if self.rescale.shift.max() > MAX_MEAN_SHIFT:
            raise RangeError(f"{where}: expected shifts of 1 to {MAX_MEAN_SHIFT}, got {self.rescale.shift.max()}")
        object.__setattr__(self, "clip", checked_clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)


@dataclass(frozen=True, eq=False)
class LayerNorm:
    """y[c, t] = clip((z[c, t] * m[c] + bias[c] + 2^(r[c]-1)) >> r[c]), z = (x - mean) / deviation over channels.

    z is in 1/16384 and comes from exact sums and an integer square root (SPEC 4, layer_norm). epsilon: 1 to 2^60, eps
    of the real layer times d^2 / S^2 * 2^12 (S the scale of x); multipliers: int32 [C] of either sign; bias: int64 [C];
    shift: int8 [C], 1 to 62; copied and read-only. x, y: codes or int16. Raises ShapeError, RangeError.
    """

    x: str
    y: str
    epsilon: int
    multipliers: NDArray[np.int32]
    bias: NDArray[np.int64]
    shift: NDArray[np.int8]
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


@dataclass(frozen=True)
class Argmax:
    """y[0, t] = the lowest c at which x[c, t] is the maximum over channels; y: int32 [1, T]."""

    x: str
    y: str
    origin: str = ""

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)
