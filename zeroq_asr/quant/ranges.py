"""Measured ranges of values, by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Range:
    """The clipping range [lo, hi] of one value, measured over `count` numbers."""

    lo: float
    hi: float
    count: int


@dataclass(frozen=True)
class RangeTable:
    """value name -> Range, with a word on the data it was measured on ("synthetic", "random", a manifest)."""

    ranges: Mapping[str, Range]
    source: str

    def __post_init__(self) -> None:
        object.__setattr__(self, "ranges", MappingProxyType(dict(self.ranges)))
