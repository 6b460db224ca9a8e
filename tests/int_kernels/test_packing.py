from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from support.random_programs import CODE_TYPES

from int_kernels import INT32, IntType, KernelError, RangeError, ShapeError, pack, packed_size, unpack


@pytest.mark.parametrize("code_type", CODE_TYPES, ids=str)
def test_every_code_at_every_place_comes_back(code_type: IntType) -> None:
    every = np.arange(code_type.lo, code_type.hi + 1)
    for lead in range(8):  # so that every code starts at every bit of a byte
        codes = np.concatenate([np.zeros(lead, int), every])
        packed = pack(codes, code_type)
        assert packed.dtype == np.uint8 and packed.size == packed_size(codes.size, code_type)
        restored = unpack(packed, code_type, codes.size)
        assert restored.dtype == code_type.storage and restored.tolist() == codes.tolist()


@pytest.mark.parametrize("code_type", CODE_TYPES, ids=str)
@pytest.mark.parametrize("count", [(1 << 15) - 1, 1 << 15, (1 << 15) + 1, (1 << 16) + 13])
def test_long_streams_are_unpacked_in_parts(code_type: IntType, count: int) -> None:
    codes = np.random.default_rng(count).integers(code_type.lo, code_type.hi + 1, count)
    assert np.array_equal(unpack(pack(codes, code_type), code_type, count), codes)


@given(data=st.data(), count=st.integers(0, 50))
def test_the_stream_is_what_the_specification_says(data: st.DataObject, count: int) -> None:
    code_type = data.draw(st.sampled_from(CODE_TYPES))
    codes = data.draw(st.lists(st.integers(code_type.lo, code_type.hi), min_size=count, max_size=count))
    stream = sum((code % (1 << code_type.bits)) << (i * code_type.bits) for i, code in enumerate(codes))
    assert pack(np.array(codes, int), code_type).tobytes() == stream.to_bytes(packed_size(count, code_type), "little")


def test_rows_are_packed_in_row_major_order() -> None:
    assert pack(np.array([[1, 2], [3, 0]]), IntType(2, signed=False)).tolist() == [0b00_11_10_01]
    assert pack(np.array([[1, 2], [3, 0]]).T, IntType(2, signed=False)).tolist() == [0b00_10_11_01]


@pytest.mark.parametrize("code", [-33, 32, 1000])
def test_a_code_outside_its_type_is_refused(code: int) -> None:
    with pytest.raises(RangeError, match="-32 to 31"):
        pack(np.array([0, code]), IntType(6))


def test_numbers_that_are_not_codes_are_refused() -> None:
    with pytest.raises(KernelError, match="expected integer codes"):
        pack(np.array([0.5]), IntType(6))
    with pytest.raises(KernelError, match="2 to 8 bits"):
        pack(np.array([1]), INT32)
    with pytest.raises(KernelError, match="2 to 8 bits"):
        unpack(np.zeros(4, np.uint8), INT32, 1)


@pytest.mark.parametrize("size", [0, 2, 4])
def test_another_number_of_bytes_is_refused(size: int) -> None:
    with pytest.raises(ShapeError, match=r"uint8 \[3\] for 4 codes of int6"):
        unpack(np.zeros(size, np.uint8), IntType(6), 4)


def test_other_shapes_and_counts_are_refused() -> None:
    with pytest.raises(ShapeError):
        unpack(np.zeros((1, 3), np.uint8), IntType(6), 4)
    with pytest.raises(ShapeError):
        unpack(np.zeros(3, np.int8), IntType(6), 4)
    with pytest.raises(ShapeError):
        unpack(np.zeros(0, np.uint8), IntType(6), -1)


def test_damaged_padding_is_refused() -> None:
    with pytest.raises(RangeError, match="expected zero bits after the last of 1 codes"):
        unpack(np.array([0b0100_0001], np.uint8), IntType(6), 1)
