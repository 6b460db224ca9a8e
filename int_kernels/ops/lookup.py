"""lookup: a table of the codes' values (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from int_kernels.bounds import Bounds
from int_kernels.errors import RangeError, ShapeError
from int_kernels.int_type import IntType
from int_kernels.lengths import Length
from int_kernels.ops.base import Array, NativeFields, Step
from int_kernels.ops.native_struct import CField, NativeStruct
from int_kernels.ops.proof_context import ProofContext, require_channels, require_code, require_narrow, same_range
from int_kernels.validation import IntegerArray, integer_array
from int_kernels.values import ValueSpec


@dataclass(frozen=True, eq=False)
class Lookup(Step):
    """y[c, t] = table[x[c, t] - lo_x].

    table: int16 [2^b], b the bits of x (a code type); copied and read-only; each entry within y's type, codes or int16.
    Raises ShapeError, RangeError.
    """

    name: ClassVar[str] = "lookup"
    code: ClassVar[int] = 6
    is_framewise: ClassVar[bool] = True
    native_struct = NativeStruct(
        "lookup",
        (
            CField("table", "const int16_t *", "[2^bits of x]"),
            CField("offset", "int32_t", "index of the entry for code 0: -lo of x's type"),
        ),
    )

    x: str
    y: str
    table: IntegerArray
    origin: str = ""

    def __post_init__(self) -> None:
        where = f"lookup '{self.y}'"
        table = integer_array(self.table, np.int16, 1, f"{where} table")
        if table.size not in {1 << bits for bits in range(2, 9)}:
            raise ShapeError(f"{where} table: expected 2^b entries for codes of b = 2 to 8 bits, got {table.size}")
        object.__setattr__(self, "table", table)

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the result. Raises KernelError, ShapeError, RangeError."""
        where, x, y = f"lookup '{self.y}'", context.specs[self.x], context.specs[self.y]
        require_code(where, "x", x)
        require_narrow(where, "y", y)
        require_channels(where, y, x.channels)
        if self.table.size != 1 << x.type.bits:
            raise ShapeError(
                f"{where} table: expected {1 << x.type.bits} entries, one per code of {x.type}, got {self.table.size}"
            )
        lo, hi = int(self.table.min()), int(self.table.max())
        if lo < y.type.lo or hi > y.type.hi:
            raise RangeError(
                f"{where} table: expected entries within {y.type}, {y.type.lo} to {y.type.hi}, got {lo} to {hi}"
            )
        return context.lengths[self.x], same_range(y.channels, lo, hi)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[c, t] = table[x[c, t] - lo_x]. [C, T] -> y_type's storage [C, T]."""
        return self.table[xs[0].astype(np.int64) - types[0].lo].astype(y_type.storage)

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """table and -lo of x's type."""
        return {"table": self.table, "offset": -x.type.lo}
