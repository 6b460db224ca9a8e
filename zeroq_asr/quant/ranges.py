"""Measured ranges of values, by value name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Range:
    """The clipping range [lo, hi] of one value, measured on `count` numbers.

    channel_limits: float64 [C], the largest |x| of every channel; None if it was not measured.
    """

    lo: float
    hi: float
    count: int
    channel_limits: npt.NDArray[np.float64] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RangeTable:
    """value name -> Range, and the name of the data: "synthetic", "random", "analytic" or a manifest."""

    ranges: Mapping[str, Range]
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranges", MappingProxyType(dict(self.ranges)))
