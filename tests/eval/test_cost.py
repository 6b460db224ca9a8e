from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.cost import ConvCost, ProductCost, conv_frames_out, frames_of, packed_bytes, total_bops, total_macs
from eval.errors import EvalError


def test_ten_seconds_are_the_paper_s_1001_frames() -> None:
    assert frames_of(10.0) == 1001
    assert frames_of(0.0) == 1
    assert frames_of(0.29) == 30


def test_macs_and_bops_of_a_separable_block() -> None:
    depthwise = ConvCost(256, 1, 33, 501, weight_bits=6, activation_bits=8)
    pointwise = ConvCost(512, 256, 1, 501, weight_bits=6, activation_bits=8)
    assert depthwise.macs == 256 * 33 * 501
    assert total_macs([depthwise, pointwise]) == 256 * 33 * 501 + 512 * 256 * 501
    assert total_bops([depthwise, pointwise]) == 48 * total_macs([depthwise, pointwise])


def test_bits_alone_change_bops_by_their_product() -> None:
    # 32 * 32 against 8 * 8: the paper's factor of 16.
    assert ConvCost(8, 8, 3, 100).bops == 16 * ConvCost(8, 8, 3, 100, 8, 8).bops


def test_products_of_activations_count_beside_convolutions() -> None:
    product = ProductCost(3, 5, 7, left_bits=15, right_bits=8)
    assert total_macs([product, ConvCost(2, 1, 1, 4)]) == 105 + 8
    assert total_bops([product]) == 105 * 120


@given(st.integers(1, 80), st.integers(1, 9), st.integers(1, 3), st.integers(1, 3), st.integers(0, 8))
def test_output_length_equals_counting_windows(frames: int, kernel: int, stride: int, dilation: int, pad: int) -> None:
    padded, reach = frames + 2 * pad, dilation * (kernel - 1) + 1
    windows = len([start for start in range(0, padded, stride) if start + reach <= padded])
    assert conv_frames_out(frames, kernel, stride, dilation, pad) == windows


@given(st.integers(0, 300), st.integers(1, 8))
def test_packed_bytes_equals_numpy_packing(count: int, bits: int) -> None:
    assert packed_bytes(count, bits) == np.packbits(np.zeros(count * bits, dtype=np.uint8)).size


def test_nonsense_is_refused() -> None:
    for call in (
        lambda: ConvCost(0, 1, 1, 1),
        lambda: ConvCost(1, 1, 1, -1),
        lambda: ProductCost(1, 0, 1),
        lambda: frames_of(-1.0),
        lambda: frames_of(float("nan")),
        lambda: packed_bytes(3, 0),
        lambda: packed_bytes(-1, 8),
    ):
        with pytest.raises(EvalError, match="expected"):
            call()
