"""Codes of 2 to 8 bits in bytes, for files (SPEC 7)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.int_type import IntType

_CODES_AT_ONCE = 1 << 15  # what stays in the nearest caches; a multiple of 8


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
        raise KernelError(f"pack: expected integer codes, got dtype {codes.dtype}")
    if codes.size and (int(codes.min()) < code_type.lo or int(codes.max()) > code_type.hi):
        raise RangeError(
            f"pack: expected codes of {code_type}, {code_type.lo} to {code_type.hi}, got {codes.min()} to {codes.max()}"
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
            f"unpack: expected uint8 [{packed_size(max(count, 0), code_type)}] for {count} codes of {code_type}; "
            f"got {packed.dtype} {list(packed.shape)}"
        )
    left = count * code_type.bits % 8
    if left and packed[-1] >> left:
        raise RangeError(f"unpack: expected zero bits after the last of {count} codes, got others; the data is damaged")
    codes = np.empty(count, code_type.storage)
    size = _CODES_AT_ONCE // 8 * code_type.bits
    for number, start in enumerate(range(0, count, _CODES_AT_ONCE)):
        some = _unpack_eights(packed[number * size : (number + 1) * size], code_type)
        codes[start : start + _CODES_AT_ONCE] = some[: count - start]
    return codes


def _unpack_eights(packed: NDArray[np.uint8], code_type: IntType) -> NDArray[Any]:
    """The codes in uint8 [n], the last eight of them filled up with zeros.

    Eight codes of b bits are b bytes. Read as one number of 64 bits they are spread over its bytes: its halves to
    where the upper four and the lower four belong, then each half's halves, then theirs.
    """
    bits = code_type.bits
    eights = -(-packed.size // bits)
    padded = np.zeros(bits * eights + 8, np.uint8)
    padded[: packed.size] = packed
    words = np.array(np.ndarray((eights,), "<u8", padded, strides=(bits,)))
    for fields, lane in ((4, 32), (2, 16), (1, 8)):
        width = fields * bits
        low = sum(((1 << width) - 1) << place for place in range(0, 64, 2 * lane))
        high = (words & np.uint64(low << width)) << np.uint64(lane - width)
        words &= np.uint64(low)
        words |= high
    codes = words.view(code_type.storage)
    if code_type.signed and bits < 8:  # the bits above the sign are 0 so far
        codes = (codes ^ -code_type.lo) + code_type.lo
    return codes


def _require_code(code_type: IntType, where: str) -> None:
    if not code_type.is_code:
        raise KernelError(f"{where}: expected a type of 2 to 8 bits, got {code_type}; store wider numbers as they are")
