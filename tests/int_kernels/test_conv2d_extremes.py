"""Depthwise conv2d with every table of inner loops against the reference: kernels, strides, paddings, rails, tails."""

from __future__ import annotations

import numpy as np
import pytest
from support.convolution_extremes import ratios
from support.random_programs import assert_native

from int_kernels import INT8, INT32, UINT8, Conv2d, IntType, Program, ValueSpec

MAPS, ROWS = 3, 9


def compare(frames: int, types: tuple[IntType, IntType], step: Conv2d, code: int | None = None) -> None:
    """x [MAPS * ROWS, frames], random or all `code`: native == reference, for 1 and 3 threads."""
    x_type, y_type = types
    values = (ValueSpec("x", MAPS * ROWS, x_type), ValueSpec("y", step.channels_out, y_type))
    program = Program(values, (step,), "x", ("y",))
    shape = (MAPS * ROWS, frames)
    random = np.random.default_rng(frames).integers(x_type.lo, x_type.hi, shape, endpoint=True)
    x = random if code is None else np.full(shape, code)
    assert_native(program, x)


def weights(rows: int, kernel: int, maps: int = MAPS) -> np.ndarray:
    return np.random.default_rng(rows * 100 + kernel).integers(-128, 128, (maps, 1, rows, kernel))


@pytest.mark.parametrize("frames", [1, 2, 3, 31, 63, 64, 65, 126, 127, 128, 129, 130, 255, 256, 257, 300])
def test_every_length(kernels: str, frames: int) -> None:
    ratio = ratios(np.random.default_rng(0), MAPS)
    for stride in (1, 2):
        for x_type in (INT8, UINT8):
            step = Conv2d("x", "y", weights(3, 3), np.arange(3), ROWS, (2, stride), (1, 1), MAPS, ratio)
            compare(frames, (x_type, UINT8), step)


@pytest.mark.parametrize("kernel", [1, 2, 3, 8, 9])
@pytest.mark.parametrize("rows", [1, 3, 7, 8])
@pytest.mark.parametrize("stride", [(1, 2), (2, 2), (2, 3)])
def test_kernels_strides_paddings(kernels: str, kernel: int, rows: int, stride: tuple[int, int]) -> None:
    """Several maps of y for one of x; padding as wide as the kernel, and far beyond the rows and frames of x."""
    ratio = ratios(np.random.default_rng(1), 2 * MAPS)
    for padding in ((0, 0), (rows, kernel), (4 * ROWS, 300)):
        step = Conv2d("x", "y", weights(rows, kernel, 2 * MAPS), np.arange(6), ROWS, stride, padding, MAPS, ratio)
        compare(70 + kernel, (INT8, INT8), step)


@pytest.mark.parametrize("x_type", [INT8, UINT8], ids=str)
@pytest.mark.parametrize("weight", [-128, 127])
def test_rails(kernels: str, x_type: IntType, weight: int) -> None:
    for code in (x_type.lo, x_type.hi):
        step = Conv2d("x", "y", np.full((MAPS, 1, 7, 8), weight), np.arange(3), ROWS, (1, 2), (3, 4), MAPS)
        compare(90, (x_type, INT32), step, code)
