"""What an operation of integer programs must state: the class that every file of this package fills in.

One file per operation holds its contract and checks, the proof that its accumulators cannot overflow, its numpy
reference and the values of its C struct. The reference is slow, short, obvious, and right by definition: making it
fast is an error. To add one, add a file here and one under `native/ops` (docs/how-to/add-an-op.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, TypeAlias

import numpy as np
from numpy.typing import NDArray

from int_kernels.bounds import Bounds
from int_kernels.dyadic import Dyadic
from int_kernels.int_type import IntType
from int_kernels.lengths import Length
from int_kernels.ops.native_struct import NativeEnum, NativeStruct
from int_kernels.values import ValueSpec

if TYPE_CHECKING:
    from int_kernels.ops.proof_context import ProofContext

Array: TypeAlias = NDArray[Any]
NativeFields: TypeAlias = dict[str, int | Array]
"""Field of a C struct -> number or array."""


class Step(ABC):
    """One step of a program: it reads the values `inputs` and makes the value `y`.

    Subclasses are frozen dataclasses. `origin` is the module path in the checkpoint that a step came from; it changes
    no result.
    """

    name: ClassVar[str]
    """Of the operation, in files and messages."""
    code: ClassVar[int]
    """Of the operation in C, zq_op: 0, 1, 2, ... in the order of OPS."""
    native_struct: ClassVar[NativeStruct | None] = None
    """Its parameters in C; None where the fields that all operations share are enough."""
    native_kernels: ClassVar[tuple[str, ...]] = ()
    """The kernel kinds that its steps run, each implemented in portable C; empty: one kind, named as the operation."""
    native_enums: ClassVar[tuple[NativeEnum, ...]] = ()
    """Enumerations that its parameters use."""
    reads_length_only: ClassVar[bool] = False
    """Whether the value depends on the length of its operand alone."""

    y: str
    origin: str

    @property
    @abstractmethod
    def inputs(self) -> tuple[str, ...]:
        """Names of the values that are read, in order."""

    @property
    def is_framewise(self) -> bool:
        """Whether each frame of the value depends on the same frame of the operands alone."""
        return False

    @abstractmethod
    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and range of the value. Raises KernelError, ShapeError, RangeError where something does not fit."""

    @abstractmethod
    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """The reference: operands [C, T] of `types` -> the value [C, T'] in y_type's storage."""

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """Values of `native_struct`; a field that is not in it is 0 or NULL in C. x: the first operand."""
        return {}

    def native_rescale(self, y: ValueSpec) -> NativeFields:
        """The multipliers and shifts of the requantization to y (`rescale_fields`); empty where there is none."""
        return {}


def rescale_fields(rescales: Sequence[Dyadic], channels: int) -> NativeFields:
    """multiplier int32 and shift int8, [operands * channels] each."""
    if len(rescales) == 1 and rescales[0].channels == channels:
        return {"multiplier": rescales[0].multiplier, "shift": rescales[0].shift}
    each = [rescale.per_channel(channels) for rescale in rescales]
    return {
        "multiplier": np.concatenate([rescale.multiplier for rescale in each]),
        "shift": np.concatenate([rescale.shift for rescale in each]),
    }
