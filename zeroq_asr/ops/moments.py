"""Means, variances and ranges of values, channel by channel, propagated through operations without data.

Channels and frames are taken to be independent normal variables, as Nagel et al. 2019 (section 4.2.1) do behind
BatchNorms. `zeroq_asr.calibrate.analytic` starts the propagation where parameters state the moments.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroq_asr.config import ANALYTIC_REACH

Reals = npt.NDArray[np.float64]

_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(33)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


@dataclass(frozen=True)
class ChannelMoments:
    """Mean, variance and clipping range of each channel, float64 [C] each."""

    mean: Reals
    var: Reals
    lo: Reals
    hi: Reals

    @classmethod
    def normal(cls, mean: Reals, var: Reals) -> ChannelMoments:
        """The range is mean +- ANALYTIC_REACH standard deviations."""
        reach = ANALYTIC_REACH * np.sqrt(var)
        return cls(mean, var, mean - reach, mean + reach)

    @classmethod
    def standard(cls, channels: int) -> ChannelMoments:
        """Mean 0 and variance 1."""
        return cls.normal(np.zeros(channels), np.ones(channels))

    def shifted(self, offset: Reals) -> ChannelMoments:
        """Of x + offset."""
        return ChannelMoments(self.mean + offset, self.var, self.lo + offset, self.hi + offset)

    def scaled(self, factor: float) -> ChannelMoments:
        """Of factor * x."""
        ends = np.sort([factor * self.lo, factor * self.hi], axis=0)
        return ChannelMoments(factor * self.mean, factor**2 * self.var, ends[0], ends[1])

    def through(self, function: Callable[[Reals], Reals]) -> ChannelMoments:
        """Of f(x): moments by Gauss-Hermite quadrature, the range from a fine grid over that of x."""
        draws = function(self.mean[:, None] + np.sqrt(self.var)[:, None] * _POINTS)
        mean = draws @ _WEIGHTS
        grid = function(self.lo[:, None] + (self.hi - self.lo)[:, None] * np.linspace(0, 1, 129))
        return ChannelMoments(mean, np.square(draws) @ _WEIGHTS - mean**2, grid.min(axis=1), grid.max(axis=1))

    def times(self, other: ChannelMoments) -> ChannelMoments:
        """Of x y, independent: E = E x E y, V = (V x + E^2 x) (V y + E^2 y) - E^2 x E^2 y."""
        mean = self.mean * other.mean
        var = (self.var + self.mean**2) * (other.var + other.mean**2) - mean**2
        ends = np.stack([p * q for p in (self.lo, self.hi) for q in (other.lo, other.hi)])
        return ChannelMoments(mean, var, ends.min(axis=0), ends.max(axis=0))
