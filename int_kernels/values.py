"""What a program knows about a value before it runs: its name, channels and type."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from int_kernels.errors import KernelError, ShapeError
from int_kernels.int_type import IntType
from int_kernels.limits import MAX_CHANNELS


@dataclass(frozen=True)
class ValueSpec:
    """One value of a program: integers of `type`, [channels, T]."""

    name: str
    channels: int
    type: IntType

    def __post_init__(self) -> None:
        if not isinstance(self.type, IntType):
            raise KernelError(f"value '{self.name}' type: expected an IntType, got {self.type!r}")
        if not isinstance(self.channels, (int, np.integer)) or not 1 <= self.channels <= MAX_CHANNELS:
            raise ShapeError(f"value '{self.name}' channels: expected 1 to {MAX_CHANNELS}, got {self.channels!r}")
