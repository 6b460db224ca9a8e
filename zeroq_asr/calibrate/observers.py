"""Streaming observers: each sees the batches of every value once and keeps a few numbers per value, never a tensor."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Protocol

import numpy as np
import numpy.typing as npt

from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.ranges import Range

Floats = npt.NDArray[np.float32]

_BINS = 4096


class Observer(Protocol):
    """Sees one value, batch by batch."""

    def update(self, x: Floats) -> None:
        """Take in one batch."""

    def range(self) -> Range:
        """Return the clipping range of all that was seen."""


class MinMaxObserver:
    """lo = min x, hi = max x over all batches (paper, section 3.1): the true extremes, not a moving average."""

    def __init__(self) -> None:
        self._lo, self._hi, self._count = math.inf, -math.inf, 0

    def update(self, x: Floats) -> None:
        self._lo, self._hi = min(self._lo, float(x.min())), max(self._hi, float(x.max()))
        self._count += x.size

    def range(self) -> Range:
        return Range(self._lo, self._hi, self._count)


class PercentileObserver:
    """The smallest alpha with P(|x| <= alpha) >= p / 100, from a histogram of |x|; the range is [-alpha, alpha] within
    [min, max].

    The histogram has 4096 equal bins over [0, 2^k). When a larger |x| comes, neighbouring bins are merged and the span
    doubles, so that counts stay exact and alpha is off by at most one bin, span / 4096.
    """

    def __init__(self, percentile: float) -> None:
        self._percentile = percentile
        self._extremes = MinMaxObserver()
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self._span = 0.0

    def update(self, x: Floats) -> None:
        self._extremes.update(x)
        magnitude = np.abs(x).ravel()
        largest = float(magnitude.max())
        if largest > 0 and self._span == 0:
            self._span = 2.0 ** math.frexp(largest)[1]
        while largest >= self._span > 0:
            self._counts = np.concatenate(
                [self._counts.reshape(-1, 2).sum(axis=1), np.zeros(_BINS // 2, dtype=np.int64)]
            )
            self._span *= 2
        bins = (
            (magnitude * (_BINS / self._span)).astype(np.int64)
            if self._span > 0
            else np.zeros(magnitude.size, dtype=np.int64)
        )
        self._counts += np.bincount(bins.clip(0, _BINS - 1), minlength=_BINS)

    def range(self) -> Range:
        seen = self._extremes.range()
        wanted = math.ceil(seen.count * self._percentile / 100)
        index = int(np.searchsorted(np.cumsum(self._counts), wanted))
        alpha = (index + 1) * self._span / _BINS
        return Range(max(seen.lo, -alpha), min(seen.hi, alpha), seen.count)


class ChannelObserver:
    """What `inner` measures, and besides the largest |x| of every channel over all batches [B, C, T]."""

    def __init__(self, inner: Observer) -> None:
        self._inner = inner
        self._limits: npt.NDArray[np.float32] | None = None

    def update(self, x: Floats) -> None:
        self._inner.update(x)
        largest = np.abs(x).max(axis=(0, 2))
        self._limits = largest if self._limits is None else np.maximum(self._limits, largest)

    def range(self) -> Range:
        limits = None if self._limits is None else self._limits.astype(np.float64)
        return replace(self._inner.range(), channel_limits=limits)


def make_observer(config: QuantizeConfig, by_extremes: bool = False, per_channel: bool = False) -> Observer:
    """Return a fresh observer: min/max if `by_extremes`, else as `config` asks; with limits per channel if wanted."""
    by_extremes = by_extremes or config.range_method == "minmax"
    observer: Observer = MinMaxObserver() if by_extremes else PercentileObserver(config.percentile)
    return ChannelObserver(observer) if per_channel else observer


def check_finite(name: str, x: Floats) -> None:
    """Raise QuantizationError if the model made a number that is not finite out of the calibration data."""
    if not np.isfinite(x).all():
        raise QuantizationError(
            f"value {name!r}: the float model gives numbers that are not finite on the calibration data"
        )
