"""Real ratios to dyadic numbers m / 2^r.

    M = m * 2^-r (1 + e),  2^30 <= m < 2^31,  1 <= r <= 62,  |e| <= 2^-31

A ratio below 2^-32 turns every int32 accumulator into 0; it becomes m = 0.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from int_kernels.dyadic import Dyadic
from zeroq_asr.errors import QuantizationError

_MANTISSA_BITS = 31
_MAX_SHIFT = 62
_INT64 = 1 << 63


def fit_dyadic(name: str, ratios: npt.NDArray[np.float64]) -> Dyadic:
    """Return the dyadic numbers nearest to `ratios` float64 [C], one per channel.

    Raises QuantizationError for a ratio that is negative, not finite, or 2^30 and more.
    """
    fitted = [_fit(name, float(ratio)) for ratio in ratios]
    return Dyadic(
        np.array([m for m, _ in fitted], dtype=np.int32),
        np.array([r for _, r in fitted], dtype=np.int8),
    )


def _fit(name: str, ratio: float) -> tuple[int, int]:
    if not (math.isfinite(ratio) and ratio >= 0):
        raise QuantizationError(f"node {name!r}: needed a finite scale ratio >= 0, came {ratio}")
    mantissa, exponent = math.frexp(ratio)  # ratio = mantissa * 2^exponent, mantissa in [1/2, 1)
    m = math.floor(mantissa * 2**_MANTISSA_BITS + 0.5)
    r = _MANTISSA_BITS - exponent
    if m == 1 << _MANTISSA_BITS:  # rounding carried into the next power of two
        m, r = m >> 1, r - 1
    if m == 0 or r > _MAX_SHIFT:
        return 0, 1
    if r < 1:
        raise QuantizationError(
            f"node {name!r}: the scale ratio {ratio:g} is too large for a 31 bit multiplier; "
            "its output range is far too narrow"
        )
    return m, r


def fit_common_shift(
    name: str, ratios: npt.NDArray[np.float64], magnitudes: Sequence[Sequence[int]]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    """Return multipliers int32 [n, C] and one shift int8 [C] for a sum of n branches: M_i[c] ~ m_i[c] / 2^r[c].

    ratios: float64 [n, C]. magnitudes: [n][C], the proved largest |x_i| of each branch and channel. r is the largest
    shift for which no multiplier leaves 31 bits and sum_i |x_i| m_i + 2^(r-1) stays below 2^63 (exact integers).
    """
    branches, channels = ratios.shape
    multipliers = np.zeros((branches, channels), dtype=np.int32)
    shifts = np.ones(channels, dtype=np.int8)
    for c in range(channels):
        for r in range(_MAX_SHIFT, 0, -1):
            scaled = [math.floor(math.ldexp(float(ratio), r) + 0.5) for ratio in ratios[:, c]]
            total = sum(m * magnitudes[i][c] for i, m in enumerate(scaled)) + (1 << (r - 1))
            if max(scaled) < 1 << _MANTISSA_BITS and total < _INT64:
                multipliers[:, c], shifts[c] = scaled, r
                break
        else:
            raise QuantizationError(
                f"node {name!r}, channel {c}: no common shift fits the ratios {ratios[:, c]}; "
                "its output range is far too narrow"
            )
    return multipliers, shifts
