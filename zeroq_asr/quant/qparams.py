"""From a measured range to a scale, and from real numbers to quantized values, also called codes.

    q = clip(floor(x / S + 1/2) + o, lo, hi),      x ~ S * (q - o)      (Kim et al. 2021, eq. 1; ties upwards)

o is 0 for every value that padding or masking can affect, so that both insert q = 0. Only a value that is read by
linear layers alone may have an offset o; their biases absorb it exactly.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from int_kernels.int_type import INT8, INT16, IntType
from zeroq_asr.config import MIN_CHANNEL_SCALE, RESIDUAL_HEADROOM
from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.ranges import Range

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class QuantParams:
    """How one value is quantized: x ~ scale * (q - offset) with q in `type`. Used at compile time only.

    channel_factors: float64 [C]; channel c has the scale scale * channel_factors[c]. None: one scale for all channels.
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
        """Return the quantized values of `x` [.., C, T] as int64 of the same shape."""
        codes = round_half_up(np.asarray(x, dtype=np.float64) / self._along(x)) + self.offset
        return codes.clip(self.type.lo, self.type.hi)

    def real(self, codes: npt.NDArray[np.signedinteger]) -> npt.NDArray[np.float64]:
        """Return the real numbers that `codes` [.., C, T] represent, float64: scale * (q - offset)."""
        real: npt.NDArray[np.float64] = self._along(codes) * (codes.astype(np.float64) - self.offset)
        return real

    def _along(self, x: npt.NDArray[np.generic]) -> npt.NDArray[np.float64] | float:
        return self.scale if self.channel_factors is None else self.scales(x.shape[-2])[:, None]


POSITIONS = QuantParams(1.0 / 127, INT8)
"""Sinusoids of relative positions, as the kernel computes them."""

GATE = QuantParams(1.0 / 32768, INT16)
"""The output of a sigmoid or tanh that is multiplied or added."""


def round_half_up(x: npt.NDArray[np.float64]) -> npt.NDArray[np.int64]:
    """Return floor(x + 1/2) as int64: the rounding of the integer shift, and the only one in this project."""
    return np.floor(x + 0.5).astype(np.int64)


def choose_qparams(name: str, range: Range, bits: int, unsigned: bool) -> QuantParams:
    """Return the parameters of an activation with the measured `range`.

    signed:   S = max(|lo|, |hi|) / (2^(b-1) - 1), q in [-2^(b-1), 2^(b-1) - 1]     (Kim et al. 2021, section 2.1)
    unsigned: S = hi / (2^b - 1), q in [0, 2^b - 1], for outputs of a ReLU

    For a range of zeros only S is 1, since every scale is exact. Raises QuantizationError (range not finite).
    """
    type = IntType(bits, signed=not unsigned)
    limit = max(range.hi, 0.0) if unsigned else max(abs(range.lo), abs(range.hi))
    _require_finite(name, range)
    return QuantParams(limit / type.hi if limit > 0 else 1.0, type)


def choose_shifted(name: str, range: Range, bits: int) -> QuantParams:
    """Return unsigned parameters with an offset for an asymmetric value such as a swish, which is at least -0.2785.

        S = (hi - lo) / (2^b - 1), o = floor(-lo / S + 1/2), with lo <= 0 <= hi; x = 0 is exactly q = o

    Raises QuantizationError (range not finite).
    """
    type = IntType(bits, signed=False)
    lo, hi = min(range.lo, 0.0), max(range.hi, 0.0)
    _require_finite(name, range)
    scale = (hi - lo) / type.hi if hi > lo else 1.0
    return QuantParams(scale, type, offset=min(math.floor(-lo / scale + 0.5), type.hi))


def choose_stream(name: str, range: Range) -> QuantParams:
    """Return the int16 parameters of a residual: S = RESIDUAL_HEADROOM * max(|lo|, |hi|) / 32767.

    Raises QuantizationError (range not finite).
    """
    _require_finite(name, range)
    limit = RESIDUAL_HEADROOM * max(abs(range.lo), abs(range.hi))
    return QuantParams(limit / INT16.hi if limit > 0 else 1.0, INT16)


def choose_channels(name: str, range: Range, bits: int, unsigned: bool = False) -> QuantParams:
    """Return parameters with one scale per channel: S_c = sqrt(a_c max_c a_c) / hi, where hi is that of the type.

    a_c: largest |x| of channel c, at most the range of the tensor. S_c / max_c S_c is at least MIN_CHANNEL_SCALE.

    This is for values that only depthwise convolutions read, whose accumulators then still have a single scale. The
    geometric mean of the ranges of channel and tensor gives quiet channels most of the resolution that their own range
    would give, and leaves headroom for what the calibration data did not contain. Raises QuantizationError (range not
    finite), ValueError (no channel limits).
    """
    _require_finite(name, range)
    if range.channel_limits is None:
        raise ValueError(f"value {name!r}: expected a range with limits per channel")
    type = IntType(bits, signed=not unsigned)
    limits = np.minimum(range.channel_limits, max(abs(range.lo), abs(range.hi)))
    largest = float(limits.max())
    if largest == 0:
        return QuantParams(1.0, type)
    factors = np.maximum(np.sqrt(limits / largest), MIN_CHANNEL_SCALE)
    return QuantParams(largest / type.hi, type, channel_factors=factors)


def _require_finite(name: str, range: Range) -> None:
    if not (math.isfinite(range.lo) and math.isfinite(range.hi)):
        raise QuantizationError(
            f"value {name!r}: expected a finite range, got [{range.lo}, {range.hi}]; calibrate on other data"
        )
