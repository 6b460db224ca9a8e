"""Measured ranges of values, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Range:
    """The clipping range [lo, hi] of one value, measured over `count` numbers.

    channel_limits: float64 [C], the clipping range of |x| of every channel, where it was measured.
    """

    lo: float
    hi: float
    count: int
    channel_limits: npt.NDArray[np.float64] | None = field(default=None, compare=False)


@dataclass(frozen=True)
class RangeTable:
    """value name -> Range, with a word on the data it was measured on ("synthetic", "random", a manifest)."""

    ranges: Mapping[str, Range]
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranges", MappingProxyType(dict(self.ranges)))
