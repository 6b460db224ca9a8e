"""From a measured range to a scale, and from real numbers to codes.

    q = clip(floor(x / S + 1/2) + o, lo, hi),      x ~ S * (q - o)          (paper, eq. 1; ties upwards)

o is 0 for all values that padding can touch, so that padding and masking insert the code 0. Only a value that nothing
but linear layers read may have an offset; their biases absorb it exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from int_kernels.int_type import INT8, INT16, IntType
from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.ranges import Range

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]

STREAM_HEADROOM = 2.0
"""An int16 stream covers this many times the largest magnitude seen: louder speech must not saturate it."""

_DEAD_FLOOR = 2.0**-10
"""Smallest scale of a channel relative to the largest: a silent channel must not be given infinite resolution."""


@dataclass(frozen=True, eq=False)
class QuantParams:
    """How one value is coded: x ~ scale * (q - offset) with q in `type`. Compile time only.

    channel_factors: float64 [C] or None; the scale of channel c is scale * channel_factors[c] then.
    """

    scale: float
    type: IntType
    offset: int = 0
    channel_factors: npt.NDArray[np.float64] | None = None

    def scales(self, channels: int) -> npt.NDArray[np.float64]:
        """Return the scale of every channel, float64 [channels]."""
        if self.channel_factors is None:
            return np.full(channels, self.scale)
        return self.scale * self.channel_factors

    def quantize(self, x: Floats) -> npt.NDArray[np.int64]:
        """Return the codes of `x` [.., C, T] as int64 of the same shape."""
        codes = round_half_up(np.asarray(x, dtype=np.float64) / self._along(x)) + self.offset
        return codes.clip(self.type.lo, self.type.hi)

    def real(self, codes: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.float64]:
        """Return what `codes` [.., C, T] stand for: scale * (q - offset)."""
        real: npt.NDArray[np.float64] = self._along(codes) * (codes.astype(np.float64) - self.offset)
        return real

    def _along(self, x: npt.NDArray[np.generic]) -> npt.NDArray[np.float64] | float:
        return self.scale if self.channel_factors is None else self.scales(x.shape[-2])[:, None]


POSITIONS = QuantParams(1.0 / 127, INT8)
"""Sinusoids of relative positions, as the kernel makes them."""

GATE = QuantParams(1.0 / 32768, INT16)
"""A sigmoid or tanh that is multiplied or added."""


def round_half_up(x: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """floor(x + 1/2): the one rounding of this project, as the integer shift does it."""
    return np.floor(x + 0.5).astype(np.int64)


def choose_qparams(name: str, range: Range, bits: int, unsigned: bool) -> QuantParams:
    """Return the code of an activation with the measured `range`.

    signed:   S = max(|lo|, |hi|) / (2^(b-1) - 1), q in [-2^(b-1), 2^(b-1) - 1]     (paper, section 2.1)
    unsigned: S = hi / (2^b - 1), q in [0, 2^b - 1], for values that a ReLU makes

    A range of nothing but zeros gets S = 1: any scale codes it exactly. Raises QuantizationError (range not finite).
    """
    type = IntType(bits, signed=not unsigned)
    limit = max(range.hi, 0.0) if unsigned else max(abs(range.lo), abs(range.hi))
    _require_finite(name, range)
    return QuantParams(limit / type.hi if limit > 0 else 1.0, type)


def choose_shifted(name: str, range: Range, bits: int) -> QuantParams:
    """Return the unsigned code with an offset of a lopsided value, for instance of a swish (never below -0.2785).

        S = (hi - lo) / (2^b - 1), o = floor(-lo / S + 1/2), with lo <= 0 <= hi; the real 0 is the code o exactly

    Raises QuantizationError (range not finite).
    """
    type = IntType(bits, signed=False)
    lo, hi = min(range.lo, 0.0), max(range.hi, 0.0)
    _require_finite(name, range)
    scale = (hi - lo) / type.hi if hi > lo else 1.0
    return QuantParams(scale, type, offset=min(math.floor(-lo / scale + 0.5), type.hi))


def choose_stream(name: str, range: Range) -> QuantParams:
    """Return the int16 code of a residual stream: S = 2 max(|lo|, |hi|) / 32767. Raises QuantizationError."""
    _require_finite(name, range)
    limit = STREAM_HEADROOM * max(abs(range.lo), abs(range.hi))
    return QuantParams(limit / INT16.hi if limit > 0 else 1.0, INT16)


def choose_channels(name: str, range: Range, bits: int, unsigned: bool = False) -> QuantParams:
    """Return a code with one scale per channel: S_c = sqrt(a_c max_c a_c) / hi, hi the type's, a_c the range of |x_c|.

    a_c: largest magnitude in channel c, but no more than the tensor's range allows.

    For a value that only depthwise convolutions read: each of their accumulators has one scale still. The geometric
    mean of the channel's and the tensor's range gives quiet channels most of what their own range would, and leaves
    them room for what calibration did not show. Raises QuantizationError (range not finite), and ValueError without
    limits per channel.
    """
    _require_finite(name, range)
    if range.channel_limits is None:
        raise ValueError(f"value {name!r}: expected a range with limits per channel")
    type = IntType(bits, signed=not unsigned)
    limits = np.minimum(range.channel_limits, max(abs(range.lo), abs(range.hi)))
    largest = float(limits.max())
    if largest == 0:
        return QuantParams(1.0, type)
    factors = np.maximum(np.sqrt(limits / largest), _DEAD_FLOOR)
    return QuantParams(largest / type.hi, type, channel_factors=factors)


def _require_finite(name: str, range: Range) -> None:
    if not (math.isfinite(range.lo) and math.isfinite(range.hi)):
        raise QuantizationError(
            f"value {name!r}: its measured range [{range.lo}, {range.hi}] is not finite; calibrate on other data"
        )
