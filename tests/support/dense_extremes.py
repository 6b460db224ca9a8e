"""Dense convolutions large enough for the fast ways of every table: many rows of many taps, windows of long kernels,
and tiles of every width."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels import INT8, INT32, UINT8, Conv1d, Conv2d, Dyadic, IntType, Program, ValueSpec
from support.families import Case, family

Types = tuple[IntType, IntType]
TYPES = [(INT8, UINT8), (UINT8, INT8), (INT8, INT32), (UINT8, IntType(5))]


def convolution(frames: int, types: Types, step: Conv1d | Conv2d, channels: tuple[int, int]) -> Case:
    """One convolution of random codes."""
    values = (ValueSpec("x", channels[0], types[0]), ValueSpec("y", channels[1], types[1]))
    program = Program(values, (step,), "x", ("y",))
    x = np.random.default_rng(frames).integers(types[0].lo, types[0].hi, (channels[0], frames), endpoint=True)
    return program, x


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


@family(types=TYPES, out=[5, 6, 7, 12, 64, 71, 130])
def many_rows(types: Types, out: int) -> Iterator[Case]:
    """130 taps are not whole groups of four; whole tiles and a rest."""
    yield convolution(150, types, conv1d(types, (out, 130, 1), out), (130, out))


@family(frames=[*range(1, 66), 128, 190])
def every_width_of_a_tile(frames: int) -> Iterator[Case]:
    for types in TYPES:
        yield convolution(frames, types, conv1d(types, (20, 136, 1), frames), (136, 20))
        yield convolution(frames, types, conv1d(types, (8, 4, 3), frames, padding=1), (4, 8))


@family(types=TYPES, shape=[(2, 1), (3, 64), (3, 65), (11, 1), (11, 2), (29, 3)])
def long_kernels(types: Types, shape: tuple[int, int]) -> Iterator[Case]:
    """Windows of four channels, with and without groups, at the edges of 64 frames and more, padded at both ends."""
    kernel, dilation = shape
    for frames, groups, padding in ((64, 1, kernel // 2 * dilation), (150, 2, dilation), (200, 1, 0)):
        if frames + 2 * padding <= (kernel - 1) * dilation:
            continue
        step = conv1d(types, (26, 24 // groups, kernel), frames, padding=padding, dilation=dilation, groups=groups)
        yield convolution(frames, types, step, (24, 26))


@family(types=TYPES, shape=[(2, 1), (3, 64), (11, 2)])
def windows_of_many_channels(types: Types, shape: tuple[int, int]) -> Iterator[Case]:
    """Channels that are whole vectors and a rest; up to more tiles than share one window."""
    kernel, dilation = shape
    for frames, groups, maps, out in ((200, 1, 64, 70), (233, 2, 68, 26), (640, 1, 132, 5)):
        step = conv1d(types, (out, maps, kernel), frames, padding=dilation, dilation=dilation, groups=groups)
        yield convolution(frames, types, step, (groups * maps, out))


@family()
def a_low_shift_among_high_ones() -> Iterator[Case]:
    for types in TYPES[:2]:
        yield convolution(130, types, conv1d(types, (14, 160, 1), 3, least=1), (160, 14))


@family(types=TYPES[:3])
def many_maps_of_several_rows(types: Types) -> Iterator[Case]:
    random = np.random.default_rng(4)
    weight, bias = random.integers(-128, 128, (14, 16, 3, 3)), np.arange(14)
    ratio = None if types[1] == INT32 else Dyadic(np.full(14, 1 << 30), np.full(14, 44))
    for stride in ((1, 1), (2, 2)):
        step = Conv2d("x", "y", weight, bias, 5, stride, (1, 1), 1, ratio)
        yield convolution(140, types, step, (16 * 5, 14 * {1: 5, 2: 3}[stride[0]]))


FEW_BITS = [(-8, 7), (-8, 8), (-9, 7), (-2, 1), (-32, 31)]
"""What fits four bits and what just does not."""


@family(rails=FEW_BITS, shape=[(64, 1, 1), (65, 17, 1), (130, 70, 1), (544, 1040, 1), (68, 33, 3)])
def weights_of_few_bits(rails: Rails, shape: tuple[int, int, int]) -> Iterator[Case]:
    """Windows, weights that stay near and weights that do not; one tile, and more than go together."""
    maps, out, kernel = shape
    for types in TYPES[:3]:
        for frames in (9, 150) if out > 1000 else (9, 150, 600):
            step = conv1d(types, (out, maps, kernel), frames, rails=rails, padding=kernel // 2)
            yield convolution(frames, types, step, (maps, out))


@family(rails=FEW_BITS[:2])
def feature_maps_with_weights_of_few_bits(rails: Rails) -> Iterator[Case]:
    """Rows of feature maps that go together."""
    weight = weights(np.random.default_rng(5), (226, 256, 3, 3), rails)
    step = Conv2d(
        "x", "y", weight, np.arange(226), 5, (1, 1), (1, 1), 1, Dyadic(np.full(226, 1 << 30), np.full(226, 43))
    )
    yield convolution(70, (INT8, UINT8), step, (256 * 5, 226 * 5))


@family(groups=[1, 2])
def groups_with_weights_of_few_bits(groups: int) -> Iterator[Case]:
    for kernel in (1, 5):
        step = conv1d(TYPES[0], (34, 70, kernel), 1, rails=(-8, 7), padding=kernel // 2, groups=groups)
        yield convolution(200, TYPES[0], step, (70 * groups, 34))


DENSE_EXTREMES = (
    many_rows,
    every_width_of_a_tile,
    long_kernels,
    windows_of_many_channels,
    a_low_shift_among_high_ones,
    many_maps_of_several_rows,
    weights_of_few_bits,
    feature_maps_with_weights_of_few_bits,
    groups_with_weights_of_few_bits,
)
