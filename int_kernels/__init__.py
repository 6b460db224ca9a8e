"""Integer-only kernels for quantized speech recognition networks. SPEC.md, beside this file, is normative.

program = Program(values, steps, input="x", outputs=("logits",))     # everything is proved here
logits, = compile_program(program).run([codes])[0]                   # integers in, integers out
"""

from int_kernels.backends import Executable, available_backends, compile_program, resolve_backend
from int_kernels.backends.native.executable import available_kernels
from int_kernels.bounds import accumulator_bounds, product_bounds
from int_kernels.dyadic import Dyadic
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.int_type import INT8, INT16, INT32, UINT8, IntType
from int_kernels.lengths import MAX_FRAMES, Length, LengthKind
from int_kernels.ops import *  # noqa: F403 - every operation is public
from int_kernels.ops import __all__ as _OPERATIONS
from int_kernels.packing import pack, packed_size, unpack
from int_kernels.program import Program, ValueSpec

SPEC_VERSION = 3

__all__ = [
    *_OPERATIONS,
    "Dyadic",
    "Executable",
    "INT16",
    "INT32",
    "INT8",
    "IntType",
    "KernelError",
    "Length",
    "LengthKind",
    "MAX_FRAMES",
    "Program",
    "RangeError",
    "SPEC_VERSION",
    "ShapeError",
    "UINT8",
    "ValueSpec",
    "accumulator_bounds",
    "available_backends",
    "available_kernels",
    "compile_program",
    "pack",
    "packed_size",
    "product_bounds",
    "resolve_backend",
    "unpack",
]
