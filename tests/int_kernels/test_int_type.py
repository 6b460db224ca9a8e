from __future__ import annotations

import numpy as np
import pytest

from int_kernels import INT8, INT16, INT32, UINT8, IntType, RangeError


@pytest.mark.parametrize(
    ("bits", "signed", "lo", "hi", "storage", "name"),
    [
        (2, True, -2, 1, "int8", "int2"),
        (2, False, 0, 3, "uint8", "uint2"),
        (6, True, -32, 31, "int8", "int6"),
        (6, False, 0, 63, "uint8", "uint6"),
        (8, True, -128, 127, "int8", "int8"),
        (8, False, 0, 255, "uint8", "uint8"),
        (16, True, -(2**15), 2**15 - 1, "int16", "int16"),
        (32, True, -(2**31), 2**31 - 1, "int32", "int32"),
    ],
)
def test_ranges(bits: int, signed: bool, lo: int, hi: int, storage: str, name: str) -> None:
    int_type = IntType(bits, signed)
    assert (int_type.lo, int_type.hi, int_type.storage, int_type.name) == (lo, hi, np.dtype(storage), name)
    assert IntType.from_name(name) == int_type
    info = np.iinfo(int_type.storage)
    assert info.min <= int_type.lo <= 0 < int_type.hi <= info.max


def test_only_types_of_at_most_8_bits_are_codes() -> None:
    assert INT8.is_code and UINT8.is_code and not INT16.is_code and not INT32.is_code


@pytest.mark.parametrize(
    ("bits", "signed"), [(1, True), (0, False), (-3, True), (9, True), (16, False), (24, True), (32, False), (64, True)]
)
def test_other_widths_are_refused(bits: int, signed: bool) -> None:
    with pytest.raises(RangeError, match=f"expected 2 to 8 bits .* got {bits}"):
        IntType(bits, signed)


@pytest.mark.parametrize("name", ["", "int", "int08", "INT8", "sint8", "uint32", "int8 ", "int9", "int99", "uint-4"])
def test_other_names_are_refused(name: str) -> None:
    with pytest.raises(RangeError):
        IntType.from_name(name)
