"""Dense convolutions large enough for the fast ways of every table, against the reference: many rows of many taps,
windows of long kernels, and tiles of every width."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.random_programs import assert_native

from int_kernels import INT8, INT32, UINT8, Conv1d, Conv2d, Dyadic, IntType, Program, ValueSpec

Types = tuple[IntType, IntType]
TYPES = [(INT8, UINT8), (UINT8, INT8), (INT8, INT32), (UINT8, IntType(5))]
NAMES = ["-".join(map(str, types)) for types in TYPES]


def compare(frames: int, types: Types, step: Conv1d | Conv2d, channels: tuple[int, int]) -> None:
    """One convolution of random codes: native == reference, for 1 and 3 threads."""
    values = (ValueSpec("x", channels[0], types[0]), ValueSpec("y", channels[1], types[1]))
    program = Program(values, (step,), "x", ("y",))
    x = np.random.default_rng(frames).integers(types[0].lo, types[0].hi, (channels[0], frames), endpoint=True)
    assert_native(program, x)


Rails = tuple[int, int]


def weights(random: np.random.Generator, shape: tuple[int, ...], rails: Rails) -> NDArray[np.int64]:
    """Anything, the rails for sure, and whole maps at one of them."""
    weight = random.integers(rails[0], rails[1] + 1, shape)
    weight[:: max(2, shape[0] // 3)] = random.choice(rails)
    weight.flat[[0, -1]] = rails
    return weight


def conv1d(
    types: Types, shape: tuple[int, int, int], seed: int, least: int = 33, rails: Rails = (-128, 127), **rest: Any
) -> Conv1d:
    """Ratios that leave most codes inside their type, and some out."""
    random = np.random.default_rng(seed)
    weight = weights(random, shape, rails)
    bias = random.integers(-5000, 5000, shape[0])
    if types[1] == INT32:
        return Conv1d("x", "y", weight, bias, **rest)
    bits = 33 + (rails[1] - rails[0]).bit_length() + shape[1].bit_length() // 2
    shift = np.maximum(random.integers(bits, bits + 3, shape[0]), least)
    if least < 33:
        shift[::5] = 30
    return Conv1d("x", "y", weight, bias, rescale=Dyadic(random.integers(1 << 30, 1 << 31, shape[0]), shift), **rest)


@pytest.mark.parametrize("types", TYPES, ids=NAMES)
@pytest.mark.parametrize("out", [5, 6, 7, 12, 64, 71, 130])
def test_many_rows(kernels: str, types: Types, out: int) -> None:
    """130 taps are not whole groups of four; whole tiles and a rest."""
    compare(150, types, conv1d(types, (out, 130, 1), out), (130, out))


@pytest.mark.parametrize("frames", [*range(1, 66), 128, 190])
def test_every_width_of_a_tile(kernels: str, frames: int) -> None:
    for types in TYPES:
        compare(frames, types, conv1d(types, (20, 136, 1), frames), (136, 20))
        compare(frames, types, conv1d(types, (8, 4, 3), frames, padding=1), (4, 8))


@pytest.mark.parametrize("types", TYPES, ids=NAMES)
@pytest.mark.parametrize("kernel, dilation", [(2, 1), (3, 64), (3, 65), (11, 1), (11, 2), (29, 3)])
def test_long_kernels(kernels: str, types: Types, kernel: int, dilation: int) -> None:
    """Windows of four channels, with and without groups, at the edges of 64 frames and more, padded at both ends."""
    for frames, groups, padding in ((64, 1, kernel // 2 * dilation), (150, 2, dilation), (200, 1, 0)):
        if frames + 2 * padding <= (kernel - 1) * dilation:
            continue
        step = conv1d(types, (26, 24 // groups, kernel), frames, padding=padding, dilation=dilation, groups=groups)
        compare(frames, types, step, (24, 26))


@pytest.mark.parametrize("types", TYPES, ids=NAMES)
@pytest.mark.parametrize("kernel, dilation", [(2, 1), (3, 64), (11, 2)])
def test_windows_of_many_channels(kernels: str, types: Types, kernel: int, dilation: int) -> None:
    """Channels that are whole vectors and a rest; up to more tiles than share one window."""
    for frames, groups, maps, out in ((200, 1, 64, 70), (233, 2, 68, 26), (640, 1, 132, 5)):
        step = conv1d(types, (out, maps, kernel), frames, padding=dilation, dilation=dilation, groups=groups)
        compare(frames, types, step, (groups * maps, out))


def test_a_low_shift_among_high_ones(kernels: str) -> None:
    for types in TYPES[:2]:
        compare(130, types, conv1d(types, (14, 160, 1), 3, least=1), (160, 14))


@pytest.mark.parametrize("types", TYPES[:3], ids=NAMES[:3])
def test_many_maps_of_several_rows(kernels: str, types: Types) -> None:
    random = np.random.default_rng(4)
    weight, bias = random.integers(-128, 128, (14, 16, 3, 3)), np.arange(14)
    ratio = None if types[1] == INT32 else Dyadic(np.full(14, 1 << 30), np.full(14, 44))
    for stride in ((1, 1), (2, 2)):
        step = Conv2d("x", "y", weight, bias, 5, stride, (1, 1), 1, ratio)
        compare(140, types, step, (16 * 5, 14 * {1: 5, 2: 3}[stride[0]]))


FEW_BITS = [(-8, 7), (-8, 8), (-9, 7), (-2, 1), (-32, 31)]
"""What fits four bits and what just does not."""


@pytest.mark.parametrize("rails", FEW_BITS)
@pytest.mark.parametrize("maps, out, kernel", [(64, 1, 1), (65, 17, 1), (130, 70, 1), (544, 1040, 1), (68, 33, 3)])
def test_weights_of_few_bits(kernels: str, rails: Rails, maps: int, out: int, kernel: int) -> None:
    """Windows, weights that stay near and weights that do not; one tile, and more than go together."""
    for types in TYPES[:3]:
        for frames in (9, 150) if out > 1000 else (9, 150, 600):
            step = conv1d(types, (out, maps, kernel), frames, rails=rails, padding=kernel // 2)
            compare(frames, types, step, (maps, out))


@pytest.mark.parametrize("rails", FEW_BITS[:2])
def test_feature_maps_with_weights_of_few_bits(kernels: str, rails: Rails) -> None:
    """Rows of feature maps that go together."""
    weight = weights(np.random.default_rng(5), (226, 256, 3, 3), rails)
    step = Conv2d(
        "x", "y", weight, np.arange(226), 5, (1, 1), (1, 1), 1, Dyadic(np.full(226, 1 << 30), np.full(226, 43))
    )
    compare(70, (INT8, UINT8), step, (256 * 5, 226 * 5))


@pytest.mark.parametrize("groups", [1, 2])
def test_groups_with_weights_of_few_bits(kernels: str, groups: int) -> None:
    for kernel in (1, 5):
        step = conv1d(TYPES[0], (34, 70, kernel), 1, rails=(-8, 7), padding=kernel // 2, groups=groups)
        compare(200, TYPES[0], step, (70 * groups, 34))
