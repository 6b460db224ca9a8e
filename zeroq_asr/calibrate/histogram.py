"""A streaming histogram of |x|, and the clipping ranges [-alpha, alpha] that follow from it.

    counts[i] = number of |x| > 0 in [i, i + 1) span / 4096;  zeros are counted separately

When an |x| reaches the span, pairs of bins are merged and the span doubles. The counts stay exact, and the memory is
4096 integers for any amount of data.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]

BINS = 4096

_RATIOS = 2.0 ** (-np.arange(256) / 32)
"""Candidates for alpha relative to the largest |x|: from 1 down to 1/256 in steps of 2 %."""


class Histogram:
    """A histogram of |x| that is updated batch by batch."""

    def __init__(self) -> None:
        self.counts = np.zeros(BINS, dtype=np.int64)
        self.zeros = 0
        self.span = 0.0
        """A power of two above the largest |x|; 0 as long as all numbers were 0."""

    @property
    def width(self) -> float:
        """Width of a bin."""
        return self.span / BINS

    def update(self, x: Floats) -> None:
        """Add one batch of any shape."""
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
    """Return the smallest alpha with P(|x| <= alpha) >= percentile / 100, zeros included; at most one bin too large."""
    below = histogram.zeros + np.cumsum(histogram.counts)
    wanted = math.ceil(int(below[-1]) * percentile / 100)
    return (int(np.searchsorted(below, wanted)) + 1) * histogram.width


def mse_alpha(histogram: Histogram, top: int) -> float:
    """Return the alpha of least expected squared error of rounding and clipping to 0 .. `top`.

        argmin over alpha of E (|x| - s min(floor(|x| / s + 1/2), top))^2,      s = alpha / top

    |x| is taken to be uniform within its bin, and the integral over a bin has a closed form; zeros have no error.
    Candidates: the end of the last non-empty bin times 2^(-k/32), k = 0..255; of equally good ones the largest.
    Source: OCS, Zhao et al. 2019, section 3; ACIQ, Banner et al. 2019, here with a histogram in place of a Laplace
    density.
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
    """Return the integral from 0 to x of (t - s q(t))^2 dt, q(t) = min(floor(t / s + 1/2), top), at the edges x.

    It is q s^3 / 12 + (x - q s)^3 / 3.
    """
    codes = np.minimum(np.floor(edges / step + 0.5), top)
    result: Reals = codes * step**3 / 12 + (edges - codes * step) ** 3 / 3
    return result


def kl_alpha(histogram: Histogram, top: int) -> float:
    """Return the alpha of least divergence between the clipped histogram P and its quantized form Q: argmin KL(P || Q).

    P: the bins below alpha, with all counts above alpha added to the last bin. Q: the bins below alpha without these
    counts, merged into `top` + 1 levels; each level is spread evenly over its non-empty bins.
    Source: Migacz, 8-bit inference with TensorRT, GTC 2017; ONNX Runtime's `get_entropy_threshold`. Two differences:
    zeros are ignored, because they are exact; alpha is always the end of a non-empty bin, so that no term is infinite
    and no smoothing is needed. Candidates: those of `mse_alpha`, but at least one bin per level.
    """
    candidates = _ends(histogram, top)
    divergences = [kl_divergence(histogram.counts, end, top + 1) for end in candidates]
    return candidates[int(np.argmin(divergences))] * histogram.width if candidates else 0.0


def _ends(histogram: Histogram, top: int) -> list[int]:
    """Return the bins behind which `kl_alpha` may clip, the last non-empty one first; at least a bin per level."""
    filled = np.flatnonzero(histogram.counts) + 1
    if not filled.size:
        return []
    near = filled[np.searchsorted(filled, filled[-1] * _RATIOS, side="right") - 1]  # index -1: the last filled bin
    return sorted({int(filled[-1]), *near[near > top].tolist()}, reverse=True)


def kl_divergence(counts: npt.NDArray[np.int64], end: int, levels: int) -> float:
    """Return KL(P || Q) of `kl_alpha` in nats for alpha at the end of bin `end` - 1, which must not be empty."""
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
    """Return the number of bins up to the last non-empty one."""
    filled = np.flatnonzero(histogram.counts)
    return int(filled[-1]) + 1 if filled.size else 0
