"""Streaming observers: each sees the batches of every value once and keeps a few numbers per value, never a tensor."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Protocol

import numpy as np
import numpy.typing as npt

from zeroq_asr.calibrate.histogram import Histogram, kl_alpha, mse_alpha, percentile_alpha
from zeroq_asr.config import QuantizeConfig, RangeMethod
from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.ranges import Range

Floats = npt.NDArray[np.float32]


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


class HistogramObserver:
    """[-alpha, alpha] within [min, max], alpha read off a histogram of |x| by `choose`."""

    def __init__(self, choose: Callable[[Histogram], float]) -> None:
        self._choose = choose
        self._extremes, self._histogram = MinMaxObserver(), Histogram()

    def update(self, x: Floats) -> None:
        self._extremes.update(x)
        self._histogram.update(x)

    def range(self) -> Range:
        seen, alpha = self._extremes.range(), self._choose(self._histogram)
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


def make_observer(config: QuantizeConfig, top: int, by_extremes: bool = False, per_channel: bool = False) -> Observer:
    """Return a fresh observer: min/max if `by_extremes`, else as `config` asks; with limits per channel if wanted.

    top: the code that the end of the range gets, e.g. 127; what "mse" and "kl" choose depends on it.
    """
    chosen: RangeMethod = "minmax" if by_extremes else config.range_method
    ways: dict[RangeMethod, Callable[[Histogram], float]] = {
        "percentile": partial(percentile_alpha, percentile=config.percentile),
        "mse": partial(mse_alpha, top=top),
        "kl": partial(kl_alpha, top=top),
    }
    observer: Observer = HistogramObserver(ways[chosen]) if chosen in ways else MinMaxObserver()
    return ChannelObserver(observer) if per_channel else observer


def check_finite(name: str, x: Floats) -> None:
    """Raise QuantizationError if the model made a number that is not finite out of the calibration data."""
    if not np.isfinite(x).all():
        raise QuantizationError(
            f"value {name!r}: the float model gives numbers that are not finite on the calibration data"
        )
