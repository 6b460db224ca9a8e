"""From a measured range to a scale, and from real numbers to codes.

    q = clip(floor(x / S + 1/2), lo, hi),      x ~ S * q                    (paper, eq. 1; ties upwards)

Everything is symmetric: the zero point is 0, so that padding and masking insert the code 0.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from int_kernels.int_type import IntType
from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.ranges import Range

Floats = npt.NDArray[np.float32] | npt.NDArray[np.float64]


@dataclass(frozen=True)
class QuantParams:
    """How one value is coded: x ~ scale * q with q in `type`. Compile time only."""

    scale: float
    type: IntType

    def quantize(self, x: Floats) -> npt.NDArray[np.int64]:
        """Return the codes of `x` as int64 of the same shape."""
        return round_half_up(np.asarray(x, dtype=np.float64) / self.scale).clip(self.type.lo, self.type.hi)


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
    if not math.isfinite(limit):
        raise QuantizationError(
            f"value {name!r}: its measured range [{range.lo}, {range.hi}] is not finite; calibrate on other data"
        )
    return QuantParams(limit / type.hi if limit > 0 else 1.0, type)
