"""Integer types: the only owner of lo and hi (SPEC 1)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

import numpy as np

from int_kernels.errors import RangeError

CODE_BITS = range(2, 9)


@dataclass(frozen=True)
class IntType:
    """`bits` wide integers: signed lo = -2^(b-1), hi = 2^(b-1) - 1; unsigned lo = 0, hi = 2^b - 1.

    bits is 2..8 (of either sign, a "code"), 16 (signed, a residual stream) or 32 (signed, an accumulator). Raises
    RangeError for anything else.
    """

    bits: int
    signed: bool = True

    def __post_init__(self) -> None:
        if self.bits not in CODE_BITS and not (self.bits in (16, 32) and self.signed):
            sign = "signed" if self.signed else "unsigned"
            raise RangeError(
                f"IntType: expected 2 to 8 bits of either sign, or 16 or 32 signed, got {self.bits!r} {sign}; use "
                "one of those"
            )

    @property
    def lo(self) -> int:
        return -(1 << (self.bits - 1)) if self.signed else 0

    @property
    def hi(self) -> int:
        return (1 << (self.bits - self.signed)) - 1

    @property
    def is_code(self) -> bool:
        """True for the types of at most 8 bits, which convolutions read."""
        return self.bits in CODE_BITS

    @property
    def storage(self) -> np.dtype[Any]:
        """numpy dtype that holds one number: int8, uint8, int16 or int32."""
        if not self.is_code:
            return np.dtype(np.int16 if self.bits == 16 else np.int32)
        return np.dtype(np.int8 if self.signed else np.uint8)

    @property
    def name(self) -> str:
        """ "int8", "uint6", "int16", "int32"."""
        return f"{'int' if self.signed else 'uint'}{self.bits}"

    @classmethod
    def from_name(cls, name: str) -> IntType:
        """The type whose `name` this is. Raises RangeError for any other text."""
        found = re.fullmatch(r"(u?)int([1-9][0-9]?)", name)
        if found is None:
            raise RangeError(f"IntType.from_name: expected a name like 'int8' or 'uint6', got {name!r}")
        return cls(int(found[2]), signed=not found[1])

    def __str__(self) -> str:
        return self.name


INT8 = IntType(8, signed=True)
UINT8 = IntType(8, signed=False)
INT16 = IntType(16, signed=True)
INT32 = IntType(32, signed=True)
