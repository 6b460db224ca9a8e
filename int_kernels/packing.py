"""Codes of 2 to 8 bits in bytes, for files (SPEC 7)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.int_type import IntType


def packed_size(count: int, code_type: IntType) -> int:
    """ceil(count * bits / 8), the bytes that `count` codes take."""
    return -(-count * code_type.bits // 8)


def pack(codes: NDArray[Any], code_type: IntType) -> NDArray[np.uint8]:
    """Bits i*b .. i*b + b - 1 of the stream are code i, least significant first.

    codes: integers of any shape (row-major order) -> uint8 [ceil(n * b / 8)].
    Raises KernelError for codes that are not integers or not of a code type, RangeError for one outside the type.
    """
    _require_code(code_type, "pack")
    codes = np.asarray(codes)
    if codes.dtype.kind not in "iu":
        raise KernelError(f"pack: needed integer codes; came dtype {codes.dtype}")
    if codes.size and (int(codes.min()) < code_type.lo or int(codes.max()) > code_type.hi):
        raise RangeError(
            f"pack: needed codes of {code_type}, {code_type.lo} to {code_type.hi}; came {codes.min()} to {codes.max()}"
        )
    octets = codes.reshape(-1, 1).astype(np.int16).astype(np.uint8)  # low 8 bits of the two's complement
    bits = np.unpackbits(octets, axis=1, count=code_type.bits, bitorder="little")
    return np.packbits(bits.reshape(-1), bitorder="little")


def unpack(packed: NDArray[np.uint8], code_type: IntType, count: int) -> NDArray[Any]:
    """The inverse of `pack`: uint8 [ceil(count * b / 8)] -> codes [count] in the type's storage.

    Raises ShapeError for another number of bytes, RangeError when the padding bits are not zero.
    """
    _require_code(code_type, "unpack")
    packed = np.asarray(packed)
    if packed.dtype != np.uint8 or packed.ndim != 1 or count < 0 or packed.size != packed_size(count, code_type):
        raise ShapeError(
            f"unpack: needed uint8 [{packed_size(max(count, 0), code_type)}] for {count} codes of {code_type}; "
            f"came {packed.dtype} {list(packed.shape)}"
        )
    stream = np.unpackbits(packed, bitorder="little")
    used = count * code_type.bits
    if stream[used:].any():
        raise RangeError(f"unpack: needed zero bits after the last of {count} codes; came others; the data is damaged")
    bits = stream[:used].reshape(count, code_type.bits)
    codes = np.zeros(count, dtype=np.int16)
    for place in range(code_type.bits):
        codes |= bits[:, place].astype(np.int16) << place
    if code_type.signed:
        codes -= (codes > code_type.hi).astype(np.int16) << code_type.bits
    return codes.astype(code_type.storage)


def _require_code(code_type: IntType, where: str) -> None:
    if not code_type.is_code:
        raise KernelError(f"{where}: needed a type of 2 to 8 bits; came {code_type}; store wider numbers as they are")
