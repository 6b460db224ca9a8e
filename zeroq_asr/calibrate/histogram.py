"""A streaming histogram of |x|, and the clipping ranges that can be read off it.

    counts[i] = how many |x| > 0 lie in [i, i + 1) span / 4096;  numbers that are 0 are counted apart

When an |x| comes that is not below the span, neighbouring bins are merged and the span doubles: counts stay exact, and
memory is 4096 integers however much data comes. What is read off it is alpha; the range is [-alpha, alpha].
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]

BINS = 4096

_RATIOS = 2.0 ** (-np.arange(256) / 32)
"""Candidates for alpha as shares of the largest |x|: 1 down to 1/256 in steps of 2 %."""


class Histogram:
    """Of |x|, batch by batch."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, dtype=np.int64)
        self.zeros = 0
        self.span = 0.0
        """Power of two above the largest |x|; 0 while there were only zeros."""

    @property
    def width(self) -> float:
        """Of a bin."""
        return self.span / BINS

    def update(self, x: Floats) -> None:
        """Take in one batch of any shape."""
        magnitude = np.abs(x).ravel()
        largest = float(magnitude.max())
        if largest > 0 and self.span == 0:
            self.span = 2.0 ** math.frexp(largest)[1]
        while largest >= self.span > 0:
            self.counts = np.concatenate([self.counts.reshape(-1, 2).sum(axis=1), np.zeros(BINS // 2, dtype=np.int64)])
            self.span *= 2
        zeros = magnitude.size - int(np.count_nonzero(magnitude))
        self.zeros += zeros
        if self.span > 0:
            bins = (magnitude * (BINS / self.span)).astype(np.int64).clip(0, BINS - 1)
            self.counts += np.bincount(bins, minlength=BINS)
            self.counts[0] -= zeros


def percentile_alpha(histogram: Histogram, percentile: float) -> float:
    """The smallest alpha with P(|x| <= alpha) >= percentile / 100, zeros included; at most one bin too large."""
    below = histogram.zeros + np.cumsum(histogram.counts)
    wanted = math.ceil(int(below[-1]) * percentile / 100)
    return (int(np.searchsorted(below, wanted)) + 1) * histogram.width


def mse_alpha(histogram: Histogram, top: int) -> float:
    """The alpha of least expected squared error of rounding and clipping, codes 0 to `top`:

        argmin over alpha of E (|x| - s min(floor(|x| / s + 1/2), top))^2,      s = alpha / top

    |x| taken to be evenly spread within its bin, the integral over a bin in closed form; exact zeros cost nothing.
    Candidates: the end of the last bin with something in it, times 2^(-k/32), k = 0..255; the first of equals wins.
    (OCS, Zhao et al. 2019, section 3; Banner et al. 2019, ACIQ, with the histogram in place of a Laplace density.)
    """
    used = _used(histogram)
    if used == 0:
        return 0.0
    edges = np.arange(used + 1, dtype=np.float64) * histogram.width
    counts = histogram.counts[:used]
    candidates = [float(edges[-1] * ratio) for ratio in _RATIOS]
    errors = [float((counts * np.diff(_error_integral(edges, alpha / top, top))).sum()) for alpha in candidates]
    return candidates[int(np.argmin(errors))]


def _error_integral(edges: Reals, step: float, top: int) -> Reals:
    """Integral from 0 to x of (t - s q(t))^2 dt, q(t) = min(floor(t / s + 1/2), top): q s^3 / 12 + (x - q s)^3 / 3."""
    codes = np.minimum(np.floor(edges / step + 0.5), top)
    result: Reals = codes * step**3 / 12 + (edges - codes * step) ** 3 / 3
    return result


def kl_alpha(histogram: Histogram, top: int) -> float:
    """The alpha whose quantized histogram Q diverges least from the clipped one P: argmin KL(P || Q).

    P: the bins below alpha, all that lies above put into the last of them. Q: the same bins without what lies above,
    merged into `top` + 1 levels and spread again, evenly over the bins that are not empty. (Migacz, 8-bit inference
    with TensorRT, GTC 2017; ONNX Runtime's `get_entropy_threshold`.) Two differences: zeros are left out, because they
    are coded exactly; alpha always ends at a bin with something in it, so that no term is infinite and nothing needs
    smoothing. Candidates: as those of `mse_alpha`, down to one bin for each level.
    """
    candidates = _ends(histogram, top)
    divergences = [kl_divergence(histogram.counts, end, top + 1) for end in candidates]
    return candidates[int(np.argmin(divergences))] * histogram.width if candidates else 0.0


def _ends(histogram: Histogram, top: int) -> list[int]:
    """Behind which bins `kl_alpha` may clip, all of them first; never below a bin for each level, if there are more."""
    filled = np.flatnonzero(histogram.counts) + 1
    if not filled.size:
        return []
    near = filled[np.searchsorted(filled, filled[-1] * _RATIOS, side="right") - 1]  # (-1, too small: all of them)
    return sorted({int(filled[-1]), *near[near > top].tolist()}, reverse=True)


def kl_divergence(counts: npt.NDArray[np.int64], end: int, levels: int) -> float:
    """KL(P || Q) of `kl_alpha` for a clip behind bin `end` - 1, which must not be empty, in nats."""
    kept = counts[:end].astype(np.float64)
    reference = kept.copy()
    reference[-1] += counts[end:].sum()
    level = np.arange(end) * levels // end
    filled = kept > 0
    members = np.bincount(level, weights=filled, minlength=levels)
    spread = np.bincount(level, weights=kept, minlength=levels) / np.maximum(members, 1)
    p = reference[filled] / reference.sum()
    q = spread[level[filled]] / kept.sum()
    return float((p * np.log(p / q)).sum())


def _used(histogram: Histogram) -> int:
    """Bins up to the last with something in it."""
    filled = np.flatnonzero(histogram.counts)
    return int(filled[-1]) + 1 if filled.size else 0
