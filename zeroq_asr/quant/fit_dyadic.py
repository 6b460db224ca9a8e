"""Real scale ratios as dyadic numbers m / 2^r.

    M = m * 2^-r (1 + e),  2^30 <= m < 2^31,  1 <= r <= 62,  |e| <= 2^-31

A ratio below 2^-32 maps every int32 accumulator to 0; it becomes m = 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from int_kernels.dyadic import Dyadic
from zeroq_asr.errors import QuantizationError

Reals = npt.NDArray[np.float64]
Fit = tuple[npt.NDArray[np.int32], npt.NDArray[np.int8], npt.NDArray[np.int64]]

_MANTISSA_BITS = 31
_MAX_SHIFT = 62


def fit_dyadic(name: str, ratios: Reals) -> Dyadic:
    """Return the dyadic numbers nearest to `ratios` float64 [C], one per channel.

    Raises QuantizationError for a ratio that is negative, not finite, or 2^30 and more.
    """
    wrong = ~(np.isfinite(ratios) & (ratios >= 0))
    if wrong.any():
        raise QuantizationError(f"node {name!r}: expected a finite scale ratio >= 0, got {ratios[wrong][0]}")
    mantissa, exponent = np.frexp(ratios)  # ratio = mantissa * 2^exponent, mantissa in [1/2, 1)
    m = np.floor(mantissa * 2.0**_MANTISSA_BITS + 0.5).astype(np.int64)
    r = _MANTISSA_BITS - exponent.astype(np.int64)
    carried = m == 1 << _MANTISSA_BITS  # rounded up to the next power of two
    m, r = np.where(carried, m >> 1, m), np.where(carried, r - 1, r)
    dead = (m == 0) | (r > _MAX_SHIFT)
    m, r = np.where(dead, 0, m), np.where(dead, 1, r)
    if (r < 1).any():
        raise QuantizationError(
            f"node {name!r}: expected a scale ratio below 2^30 for a 31-bit multiplier, got {ratios[r < 1][0]:g}; "
            "the range of its output is too narrow"
        )
    return Dyadic(m.astype(np.int32), r.astype(np.int8))


def fit_common_shift(
    name: str, ratios: Reals, magnitudes: Sequence[Sequence[int]]
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int8]]:
    """Return multipliers int32 [n, C] and one shift int8 [C] for a sum of n branches: M_i[c] ~ m_i[c] / 2^r[c].

    ratios: float64 [n, C] >= 0. magnitudes: [n][C], the proved largest |x_i| of each branch and channel. r is the
    largest shift for which all multipliers fit in 31 bits and sum_i |x_i| m_i + 2^(r-1) < 2^63, in exact integers.
    Raises QuantizationError for a negative ratio, or if no shift fits.
    """
    if not (ratios >= 0).all():
        raise QuantizationError(f"node {name!r}: expected scale ratios >= 0, got {ratios.min()}")
    multipliers, shifts, _ = fit_affine(name, ratios, np.zeros(ratios.shape[1]), magnitudes)
    return multipliers, shifts


def fit_affine(name: str, ratios: Reals, offsets: Reals, magnitudes: Sequence[Sequence[int]]) -> Fit:
    """Return (m int32 [n, C], r int8 [C], b int64 [C]) with m / 2^r ~ ratios and b / 2^r ~ offsets.

    As `fit_common_shift`, with multipliers of either sign and sum_i |x_i| |m_i| + |b| + 2^(r-1) < 2^63. ratios:
    float64 [n, C]. offsets: float64 [C]. Raises QuantizationError for a number that is not finite, or if no shift fits.
    """
    if not (np.isfinite(ratios).all() and np.isfinite(offsets).all()):
        raise QuantizationError(f"node {name!r}: expected finite scale ratios and offsets, got others")
    reach = np.array(magnitudes, dtype=np.uint64)  # [n, C], below 2^32
    shifts = _first_shifts(ratios, offsets, reach)
    while True:
        multipliers = np.floor(np.ldexp(ratios, shifts) + 0.5)
        biases = np.floor(np.ldexp(offsets, shifts) + 0.5)
        unfit = ~_fits(multipliers, biases, shifts, reach)
        if not unfit.any():
            return multipliers.astype(np.int32), shifts.astype(np.int8), biases.astype(np.int64)
        shifts = np.where(unfit, shifts - 1, shifts)
        if shifts.min() < 1:
            c = int(shifts.argmin())
            raise QuantizationError(
                f"node {name!r}, channel {c}: no common shift fits the ratios {ratios[:, c]}; "
                "the range of its output is too narrow"
            )


def _fits(multipliers: Reals, biases: Reals, shifts: npt.NDArray[np.int64], reach: npt.NDArray[np.uint64]) -> Any:
    """Return bool [C]: whether |m_i| < 2^31 and sum_i |x_i| |m_i| + |b| + 2^(r-1) < 2^63 holds exactly.

    Every term is below 2^63. The upper and the lower 32 bits are summed separately, so that no sum overflows.
    """
    narrow = (np.abs(multipliers) < 2.0**_MANTISSA_BITS).all(axis=0) & (np.abs(biases) < 2.0**63)
    products = np.abs(np.where(narrow, multipliers, 0.0)).astype(np.uint64) * reach
    bias = np.abs(np.where(narrow, biases, 0.0)).astype(np.uint64)
    half = np.uint64(1) << (shifts - 1).astype(np.uint64)
    terms = np.concatenate([products, bias[None], half[None]])
    low, high = (terms & np.uint64(2**32 - 1)).sum(axis=0), (terms >> np.uint64(32)).sum(axis=0)
    return narrow & (high + (low >> np.uint64(32)) < 1 << 31)


def _first_shifts(ratios: Reals, offsets: Reals, reach: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
    """Return an upper bound of the shift for every channel, int64 [C], at most a few above the result.

    m < 2^31 requires ratio 2^r < 2^31, and the total requires (sum ratio |x| + |b|) 2^r < 2^63, both up to rounding.
    """
    largest = np.abs(ratios).max(axis=0)
    total = (np.abs(ratios) * reach).sum(axis=0) + np.abs(offsets)
    by_width = np.where(largest > 0, _MANTISSA_BITS + 1 - np.frexp(largest)[1], _MAX_SHIFT)
    by_total = np.where(total > 0, 63 + 2 - np.frexp(total)[1], _MAX_SHIFT)
    first = np.minimum(by_width, by_total)
    clipped: npt.NDArray[np.int64] = np.clip(first, 1, _MAX_SHIFT).astype(np.int64)
    return clipped
