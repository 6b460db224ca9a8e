"""Streaming observers: each reads the batches of one value once and stores a few numbers, never a tensor."""

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
    """Measures the range of one value, batch by batch."""

    def update(self, x: Floats) -> None:
        """Add one batch."""

    def range(self) -> Range:
        """Return the clipping range over all batches."""


class MinMaxObserver:
    """lo = min x, hi = max x over all batches (Kim et al. 2021, section 3.1): exact extremes, no moving average."""

    def __init__(self) -> None:
        self._lo, self._hi, self._count = math.inf, -math.inf, 0

    def update(self, x: Floats) -> None:
        self._lo, self._hi = min(self._lo, float(x.min())), max(self._hi, float(x.max()))
        self._count += x.size

    def range(self) -> Range:
        return Range(self._lo, self._hi, self._count)


class HistogramObserver:
    """The intersection of [-alpha, alpha] and [min, max]; `choose` computes alpha from a histogram of |x|."""

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
    """The range of `inner`, and the largest |x| of every channel over all batches [B, C, T]."""

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


def make_observer(
    config: QuantizeConfig, top: int, *, by_extremes: bool = False, per_channel: bool = False
) -> Observer:
    """Return a new observer.

    by_extremes: measure min/max whatever `config.range_method` is. per_channel: also measure a limit per channel.
    top: the quantized value of the end of the range, e.g. 127; the results of "mse" and "kl" depend on it.
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
    """Raise QuantizationError if the value `name` has a number that is not finite."""
    if not np.isfinite(x).all():
        raise QuantizationError(
            f"value {name!r}: expected finite numbers of the float model on the calibration data, got NaN or infinity"
        )
