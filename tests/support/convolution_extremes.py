"""Convolutions and sums where vector code breaks: rails, odd sizes, tails, padding."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from int_kernels import INT8, INT32, UINT8, Conv1d, Dyadic, IntType, Program, Step, Sum, ValueSpec
from support.families import Case, family
from support.random_maker import CODE_TYPES

LOW, HIGH = 1 << 30, (1 << 31) - 1


def convolution(x: NDArray[np.int64], x_type: IntType, y_type: IntType, step: Conv1d) -> Case:
    """One convolution of x [C, T]."""
    values = (ValueSpec("x", len(x), x_type), ValueSpec("y", step.channels_out, y_type))
    return Program(values, (step,), "x", ("y",)), x


def ratios(random: np.random.Generator, channels: int) -> Dyadic:
    """Ratios of every kind: any shift, dead channels, the limits of the multiplier."""
    multiplier = random.integers(LOW, HIGH, channels, endpoint=True)
    multiplier[::7], multiplier[1::11], multiplier[2::13] = 0, LOW, HIGH
    return Dyadic(
        multiplier,
        np.where(np.arange(channels) % 3, random.integers(33, 44, channels), np.arange(channels) % 62 + 1),
    )


@family(frames=[*range(1, 20), 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 255, 256, 257, 320])
def every_length(frames: int) -> Iterator[Case]:
    random = np.random.default_rng(frames)
    x = random.integers(-128, 128, (5, frames))
    pointwise = random.integers(-128, 128, (7, 5, 1))
    yield convolution(x, INT8, INT8, Conv1d("x", "y", pointwise, np.arange(7), rescale=ratios(random, 7)))
    depthwise = random.integers(-128, 128, (5, 1, 9))
    yield convolution(x, INT8, INT32, Conv1d("x", "y", depthwise, np.arange(5), 1, 1, 4, 5))
    yield convolution(x, INT8, UINT8, Conv1d("x", "y", depthwise, np.arange(5), 1, 1, 4, 5, ratios(random, 5)))


@family(channels=[2, 3, 4, 5, 7, 15, 17, 66], out=[1, 2, 3, 4, 5, 6, 7, 11, 13, 64, 65, 70, 127])
def every_remainder_of_channels(channels: int, out: int) -> Iterator[Case]:
    random = np.random.default_rng(channels * 1000 + out)
    weight = random.integers(-128, 128, (out, channels, 1))
    x = random.integers(0, 256, (channels, 70))
    step = Conv1d("x", "y", weight, np.zeros(out, int), rescale=ratios(random, out), clip=(0, 200))
    yield convolution(x, UINT8, UINT8, step)


@family(
    kernel=[1, 2, 3, 4, 5, 6, 7, 8, 33, 87],
    spacing=[(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (1, 5), (2, 9), (40, 1)],
    groups=[1, 2, 6],
)
def kernels_strides_dilations_groups(kernel: int, spacing: tuple[int, int], groups: int) -> Iterator[Case]:
    random = np.random.default_rng(kernel)
    weight = random.integers(-128, 128, (12, 6 // groups, kernel))
    stride, dilation = spacing
    for x_type, padding in ((INT8, 0), (UINT8, dilation * kernel // 2), (INT8, 3 * dilation * kernel)):
        x = random.integers(x_type.lo, x_type.hi, (6, dilation * (kernel - 1) + 90), endpoint=True)
        step = Conv1d("x", "y", weight, np.arange(12), stride, dilation, padding, groups, ratios(random, 12))
        yield convolution(x, x_type, INT8, step)


@family(
    frames=[129, 256, 257, 511, 512, 513, 1100],
    shape=[*((kernel, 1, 1) for kernel in (33, 34, 49, 50, 97, 98, 113, 114)), (29, 1, 2), (40, 2, 1)],
)
def depthwise_of_many_frames(frames: int, shape: tuple[int, int, int]) -> Iterator[Case]:
    """More channels and frames than any table works on at once, kernels at the edges of 64 places."""
    kernel, stride, dilation = shape
    random = np.random.default_rng(frames + kernel)
    weight = random.integers(-128, 128, (10, 1, kernel))
    for x_type, y_type, padding in ((INT8, UINT8, dilation * kernel // 2), (UINT8, INT32, 0)):
        x = random.integers(x_type.lo, x_type.hi, (5, frames * stride), endpoint=True)
        rescale = None if y_type == INT32 else ratios(random, 10)
        step = Conv1d("x", "y", weight, np.arange(10), stride, dilation, padding, 5, rescale)
        yield convolution(x, x_type, y_type, step)


def separable(channels: int, out: int, kernel: int, stride: int, y_type: IntType, frames: int) -> Program:
    """x -> depthwise m -> pointwise y. All ratios have high shifts, so that what lies between may lie in any order."""
    random = np.random.default_rng(channels + out + kernel + frames)

    def ratio(channels: int) -> Dyadic:
        return Dyadic(random.integers(LOW, HIGH, channels), random.integers(36, 44, channels))

    taps, weight = random.integers(-128, 128, (channels, 1, kernel)), random.integers(-128, 128, (out, channels, 1))
    biases = random.integers(-999, 999, (2, max(channels, out)))
    clip = (y_type.lo // 2, y_type.hi - 3)
    first = (taps, biases[0, :channels], stride, 1, kernel // 2, channels, ratio(channels), clip)
    depthwise = Conv1d("x", "m", *first)
    pointwise = Conv1d("m", "y", weight, biases[1, :out], rescale=ratio(out))
    values = (ValueSpec("x", channels, INT8), ValueSpec("m", channels, y_type), ValueSpec("y", out, INT8))
    return Program(values, (depthwise, pointwise), "x", ("y",))


@family(
    y_type=[INT8, UINT8],
    frames=[1, 2, 17, 63, 64, 129, 500, 1100],
    widths=[(64, 16), (64, 70), (128, 96), (68, 64), (66, 64)],
)
def separable_units(y_type: IntType, frames: int, widths: tuple[int, int]) -> Iterator[Case]:
    """Alone, with its inner value read by another step or asked for, and with a pointwise convolution of two groups."""
    channels, out = widths
    random = np.random.default_rng(frames)
    program = separable(channels, out, *((33, 1) if channels == 64 else (11, 2)), y_type, frames)
    x = random.integers(-128, 128, (channels, frames))
    yield program, x
    yield replace(program, outputs=("y", "m")), x
    total = Sum(("m", "m"), "z", random.integers(0, 1 << 30, (2, channels)), np.full(channels, 31))
    values = (*program.values, ValueSpec("z", channels, INT8))
    yield replace(program, values=values, steps=(*program.steps, total), outputs=("y", "z")), x
    depthwise, pointwise = program.steps
    assert isinstance(pointwise, Conv1d)
    grouped = replace(pointwise, weight=pointwise.weight[:, : channels // 2], groups=2)
    yield replace(program, steps=(depthwise, grouped)), x


def block(
    channels: int, inputs: int, kernel: int, dilation: int, padding: int, y_type: IntType, frames: int
) -> Program:
    """x -> sum s of raw accumulators -> depthwise m and pointwise r; m -> pointwise y. All shifts are high."""
    random = np.random.default_rng(channels + kernel + frames)
    specs, steps = [("x", channels, INT8)], list[Step]()
    for name in "ab"[:inputs]:
        weight = random.integers(-128, 128, (channels, channels, 1))
        steps.append(Conv1d("x", name, weight, random.integers(-999, 999, channels)))
        specs.append((name, channels, INT32))
    factors, shifts = random.integers(LOW, HIGH, (inputs, channels)), random.integers(40, 46, channels)
    bias = random.integers(-(1 << 44), 1 << 44, channels)
    steps.append(Sum(tuple("ab"[:inputs]), "s", factors, shifts, (y_type.lo // 3, y_type.hi), bias))
    for name, x, groups in (("m", "s", channels), ("r", "s", 1), ("y", "m", 1)):
        taps = (kernel, 1, dilation, padding) if groups > 1 else (1, 1, 1, 0)
        weight = random.integers(-128, 128, (channels, channels // groups, taps[0]))
        ratio = Dyadic(random.integers(LOW, HIGH, channels), random.integers(36, 44, channels))
        steps.append(Conv1d(x, name, weight, random.integers(-999, 999, channels), *taps[1:], groups, ratio))
    specs += [("s", channels, y_type), ("m", channels, INT8), ("r", channels, INT8), ("y", channels, UINT8)]
    return Program(tuple(ValueSpec(*spec) for spec in specs), tuple(steps), "x", ("r", "y"))


@family(
    y_type=[INT8, UINT8, IntType(5)],
    frames=[2, 63, 64, 65, 130, 511, 513, 1100],
    shape=[
        (64, 2, 33, 1, 16),
        (64, 1, 11, 1, 0),
        (128, 2, 63, 1, 31),
        (64, 2, 29, 2, 28),
        (64, 2, 9, 1, 70),
        (66, 2, 9, 1, 4),
    ],
)
def blocks(y_type: IntType, frames: int, shape: tuple[int, int, int, int, int]) -> Iterator[Case]:
    """What a depthwise and a pointwise convolution both read, in any order that a table likes."""
    channels, _, kernel, dilation, padding = shape
    length = max(frames, dilation * (kernel - 1) + 1 - 2 * padding)
    x = np.random.default_rng(frames).integers(-128, 128, (channels, length))
    yield block(*shape, y_type, length), x


@family(x_type=[INT8, UINT8], code=["lo", "hi"], weight=[-128, 127], groups=[1, 515])
def all_rails(x_type: IntType, code: str, weight: int, groups: int) -> Iterator[Case]:
    """Every product as large as it can be: a saturating pair of products would be seen at once."""
    x = np.full((515, 66), getattr(x_type, code))
    kernel = 1 if groups == 1 else 87
    weights = np.full((groups if groups > 1 else 3, 515 // groups, kernel), weight)
    step = Conv1d("x", "y", weights, np.zeros(len(weights), int), padding=kernel // 2, groups=groups)
    yield convolution(x, x_type, INT32, step)


@family(groups=[1, 2])
def biases_that_use_the_whole_accumulator(groups: int) -> Iterator[Case]:
    """The shifted bias of signed activations wraps around; the result does not."""
    weight = np.full((2, 2 // groups, 1), -128)
    most = 128 * 128 * (2 // groups)
    for bias in (INT32.hi - most, INT32.lo + most):
        x = np.array([[-128, 127, 0], [127, -128, 1]])
        yield convolution(x, INT8, INT32, Conv1d("x", "y", weight, np.full(2, bias), groups=groups))


@family(x_type=CODE_TYPES)
def every_type_in_and_out(x_type: IntType) -> Iterator[Case]:
    random = np.random.default_rng(x_type.bits)
    x = random.integers(x_type.lo, x_type.hi, (6, 130), endpoint=True)
    for y_type in (*CODE_TYPES, INT32):
        for groups in (1, 6):
            weight = random.integers(-128, 128, (6, 6 // groups, 5))
            rescale = Dyadic(random.integers(LOW, HIGH, 6), np.array([1, 31, 32, 33, 36, 40]))
            step = Conv1d("x", "y", weight, np.arange(6), padding=2, groups=groups, rescale=rescale)
            yield convolution(x, x_type, y_type, step)


@family(y_type=[INT8, UINT8, IntType(5), INT32], frames=[1, 15, 16, 17, 65])
def sums(y_type: IntType, frames: int) -> Iterator[Case]:
    """Raw accumulators of both signs and codes, one rounding, tails of any length."""
    random = np.random.default_rng(frames)
    a = Conv1d("x", "a", random.integers(-128, 128, (9, 9, 1)), random.integers(-99, 99, 9))
    b = Conv1d("x", "b", random.integers(-128, 128, (9, 9, 3)), random.integers(-99, 99, 9), padding=1)
    multipliers = random.integers(0, 1 << 31, (3, 9))
    shift = np.array([1, 20, 30, 32, 38, 44, 50, 58, 62])
    for clip in (None, (0, y_type.hi)):
        total = Sum(("a", "b", "x"), "y", multipliers, shift, clip)
        specs = (("x", INT8), ("a", INT32), ("b", INT32), ("y", y_type))
        program = Program(tuple(ValueSpec(name, 9, t) for name, t in specs), (a, b, total), "x", ("y",))
        yield program, random.integers(-128, 128, (9, frames))


EXTREMES = (
    every_length,
    every_remainder_of_channels,
    kernels_strides_dilations_groups,
    all_rails,
    biases_that_use_the_whole_accumulator,
    every_type_in_and_out,
    sums,
)
"""Convolutions and sums on their own."""

UNITS = (depthwise_of_many_frames, separable_units, blocks)
"""What tables with a packed layout go over several steps with."""
