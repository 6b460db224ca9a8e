"""Every table of inner loops against the reference where vector code breaks: rails, odd sizes, tails, padding."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.random_programs import CODE_TYPES, assert_native, assert_same

from int_kernels import INT8, INT32, UINT8, Conv1d, Dyadic, IntType, Program, Sum, ValueSpec, compile_program
from int_kernels.backends.native.executable import NativeExecutable

LOW, HIGH = 1 << 30, (1 << 31) - 1


def compare(x: np.ndarray[Any, Any], x_type: IntType, y_type: IntType, step: Conv1d) -> None:
    """One convolution of x [C, T]: native == reference, for 1 and 3 threads."""
    values = (ValueSpec("x", len(x), x_type), ValueSpec("y", step.channels_out, y_type))
    program = Program(values, (step,), "x", ("y",))
    assert_native(program, x)


def ratios(random: np.random.Generator, channels: int) -> Dyadic:
    """Ratios of every kind: any shift, dead channels, the limits of the multiplier."""
    multiplier = random.integers(LOW, HIGH, channels, endpoint=True)
    multiplier[::7], multiplier[1::11], multiplier[2::13] = 0, LOW, HIGH
    return Dyadic(
        multiplier,
        np.where(np.arange(channels) % 3, random.integers(33, 44, channels), np.arange(channels) % 62 + 1),
    )


@pytest.mark.parametrize("frames", [*range(1, 20), 31, 32, 33, 63, 64, 65, 127, 128, 129, 191, 192, 255, 256, 257, 320])
def test_every_length(kernels: str, frames: int) -> None:
    random = np.random.default_rng(frames)
    x = random.integers(-128, 128, (5, frames))
    pointwise = random.integers(-128, 128, (7, 5, 1))
    compare(x, INT8, INT8, Conv1d("x", "y", pointwise, np.arange(7), rescale=ratios(random, 7)))
    depthwise = random.integers(-128, 128, (5, 1, 9))
    compare(x, INT8, INT32, Conv1d("x", "y", depthwise, np.arange(5), 1, 1, 4, 5))
    compare(x, INT8, UINT8, Conv1d("x", "y", depthwise, np.arange(5), 1, 1, 4, 5, ratios(random, 5)))


@pytest.mark.parametrize("channels", [2, 3, 4, 5, 7, 15, 17, 66])
@pytest.mark.parametrize("out", [1, 2, 3, 4, 5, 6, 7, 11, 13, 64, 65, 70, 127])
def test_every_remainder_of_channels(kernels: str, channels: int, out: int) -> None:
    random = np.random.default_rng(channels * 1000 + out)
    weight = random.integers(-128, 128, (out, channels, 1))
    x = random.integers(0, 256, (channels, 70))
    compare(
        x,
        UINT8,
        UINT8,
        Conv1d("x", "y", weight, np.zeros(out, int), rescale=ratios(random, out), clip=(0, 200)),
    )


@pytest.mark.parametrize("kernel", [1, 2, 3, 4, 5, 6, 7, 8, 33, 87])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 2), (2, 1), (2, 2), (3, 2), (1, 5), (2, 9), (40, 1)])
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_kernels_strides_dilations_groups(kernels: str, kernel: int, stride: int, dilation: int, groups: int) -> None:
    random = np.random.default_rng(kernel)
    weight = random.integers(-128, 128, (12, 6 // groups, kernel))
    for x_type, padding in ((INT8, 0), (UINT8, dilation * kernel // 2), (INT8, 3 * dilation * kernel)):
        x = random.integers(x_type.lo, x_type.hi, (6, dilation * (kernel - 1) + 90), endpoint=True)
        step = Conv1d("x", "y", weight, np.arange(12), stride, dilation, padding, groups, ratios(random, 12))
        compare(x, x_type, INT8, step)


@pytest.mark.parametrize("frames", [129, 256, 257, 511, 512, 513, 1100])
@pytest.mark.parametrize(
    "kernel, stride, dilation",
    [*((kernel, 1, 1) for kernel in (33, 34, 49, 50, 97, 98, 113, 114)), (29, 1, 2), (40, 2, 1)],
)
def test_depthwise_of_many_frames(kernels: str, frames: int, kernel: int, stride: int, dilation: int) -> None:
    """More channels and frames than any table works on at once, kernels at the edges of 64 places."""
    random = np.random.default_rng(frames + kernel)
    weight = random.integers(-128, 128, (10, 1, kernel))
    for x_type, y_type, padding in ((INT8, UINT8, dilation * kernel // 2), (UINT8, INT32, 0)):
        x = random.integers(x_type.lo, x_type.hi, (5, frames * stride), endpoint=True)
        rescale = None if y_type == INT32 else ratios(random, 10)
        compare(x, x_type, y_type, Conv1d("x", "y", weight, np.arange(10), stride, dilation, padding, 5, rescale))


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


@pytest.mark.parametrize("y_type", [INT8, UINT8], ids=str)
@pytest.mark.parametrize("frames", [1, 2, 17, 63, 64, 129, 500, 1100])
@pytest.mark.parametrize(("channels", "out"), [(64, 16), (64, 70), (128, 96), (68, 64), (66, 64)])
def test_separable_units(kernels: str, y_type: IntType, frames: int, channels: int, out: int) -> None:
    """Alone, with its inner value read by another step or asked for, and with a pointwise convolution of two groups."""
    random = np.random.default_rng(frames)
    program = separable(channels, out, *((33, 1) if channels == 64 else (11, 2)), y_type, frames)
    x = random.integers(-128, 128, (channels, frames))
    assert_native(program, x)
    assert_native(replace(program, outputs=("y", "m")), x)
    total = Sum(("m", "m"), "z", random.integers(0, 1 << 30, (2, channels)), np.full(channels, 31))
    values = (*program.values, ValueSpec("z", channels, INT8))
    assert_native(replace(program, values=values, steps=(*program.steps, total), outputs=("y", "z")), x)
    pointwise = replace(program.steps[1], weight=program.steps[1].weight[:, : channels // 2], groups=2)
    assert_native(replace(program, steps=(program.steps[0], pointwise)), x)


def block(
    channels: int, inputs: int, kernel: int, dilation: int, padding: int, y_type: IntType, frames: int
) -> Program:
    """x -> sum s of raw accumulators -> depthwise m and pointwise r; m -> pointwise y. All shifts are high."""
    random = np.random.default_rng(channels + kernel + frames)
    specs, steps = [("x", channels, INT8)], []
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


@pytest.mark.parametrize("y_type", [INT8, UINT8, IntType(5)], ids=str)
@pytest.mark.parametrize("frames", [2, 63, 64, 65, 130, 511, 513, 1100])
@pytest.mark.parametrize(
    ("channels", "inputs", "kernel", "dilation", "padding"),
    [
        (64, 2, 33, 1, 16),
        (64, 1, 11, 1, 0),
        (128, 2, 63, 1, 31),
        (64, 2, 29, 2, 28),
        (64, 2, 9, 1, 70),
        (66, 2, 9, 1, 4),
    ],
)
def test_blocks(
    kernels: str, y_type: IntType, frames: int, channels: int, inputs: int, kernel: int, dilation: int, padding: int
) -> None:
    """What a depthwise and a pointwise convolution both read, in any order that a table likes."""
    length = max(frames, dilation * (kernel - 1) + 1 - 2 * padding)
    x = np.random.default_rng(frames).integers(-128, 128, (channels, length))
    assert_native(block(channels, inputs, kernel, dilation, padding, y_type, length), x)


def test_what_both_convolutions_read_is_in_the_packed_k4_layout(kernels: str) -> None:
    """A depthwise one alone is no faster so."""
    program = block(64, 2, 33, 1, 16, UINT8, 65)
    alone = tuple(step for step in program.steps if step.y != "r")
    rest = tuple(value for value in program.values if value.name != "r")
    for tried, is_packed in (
        (program, kernels == "amx"),
        (replace(program, values=rest, steps=alone, outputs=("y",)), False),
    ):
        native = NativeExecutable(tried)
        state, *_hold = native._prepare(np.zeros((64, 65), np.int8), None)
        names = [value.name for value in tried.values]
        assert bool(state.is_packed_k4[names.index("s")]) == is_packed
        assert bool(state.is_packed_k4[names.index("m")]) == (kernels == "amx")


def test_the_inner_value_of_a_separable_unit_is_in_the_packed_k4_layout(kernels: str) -> None:
    program = separable(64, 70, 33, 1, UINT8, 65)
    for outputs, is_packed in ((("y",), kernels == "amx"), (("y", "m"), False)):
        native = NativeExecutable(replace(program, outputs=outputs))
        state, *_hold = native._prepare(np.zeros((64, 65), np.int8), None)
        assert [bool(state.is_packed_k4[i]) for i in range(3)] == [False, is_packed, False]


@pytest.mark.parametrize("x_type", [INT8, UINT8], ids=str)
@pytest.mark.parametrize("code", ["lo", "hi"])
@pytest.mark.parametrize("weight", [-128, 127])
@pytest.mark.parametrize("groups", [1, 515])
def test_all_rails(kernels: str, x_type: IntType, code: str, weight: int, groups: int) -> None:
    """Every product as large as it can be: a saturating pair of products would be seen at once."""
    x = np.full((515, 66), getattr(x_type, code))
    kernel = 1 if groups == 1 else 87
    weights = np.full((groups if groups > 1 else 3, 515 // groups, kernel), weight)
    step = Conv1d("x", "y", weights, np.zeros(len(weights), int), padding=kernel // 2, groups=groups)
    compare(x, x_type, INT32, step)


@pytest.mark.parametrize("groups", [1, 2])
def test_biases_that_use_the_whole_accumulator(kernels: str, groups: int) -> None:
    """The shifted bias of signed activations wraps around; the result does not."""
    weight = np.full((2, 2 // groups, 1), -128)
    most = 128 * 128 * (2 // groups)
    for bias in (INT32.hi - most, INT32.lo + most):
        compare(
            np.array([[-128, 127, 0], [127, -128, 1]]),
            INT8,
            INT32,
            Conv1d("x", "y", weight, np.full(2, bias), groups=groups),
        )


@pytest.mark.parametrize("x_type", CODE_TYPES, ids=str)
def test_every_type_in_and_out(kernels: str, x_type: IntType) -> None:
    random = np.random.default_rng(x_type.bits)
    x = random.integers(x_type.lo, x_type.hi, (6, 130), endpoint=True)
    for y_type in (*CODE_TYPES, INT32):
        for groups in (1, 6):
            weight = random.integers(-128, 128, (6, 6 // groups, 5))
            rescale = Dyadic(random.integers(LOW, HIGH, 6), np.array([1, 31, 32, 33, 36, 40]))
            step = Conv1d("x", "y", weight, np.arange(6), padding=2, groups=groups, rescale=rescale)
            compare(x, x_type, y_type, step)


@pytest.mark.parametrize("y_type", [INT8, UINT8, IntType(5), INT32], ids=str)
@pytest.mark.parametrize("frames", [1, 15, 16, 17, 65])
def test_sums(kernels: str, y_type: IntType, frames: int) -> None:
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
        x = random.integers(-128, 128, (9, frames))
        assert_same(compile_program(program).run([x])[0], compile_program(program, "reference").run([x])[0])


def test_the_best_kernels_pack_their_weights(kernels: str) -> None:
    """More weights than taps: packed once, held by the executable; others read them as they are."""
    weight = np.ones((8, 8, 1), int)
    values = (ValueSpec("x", 8, UINT8), ValueSpec("y", 8, INT32))
    executable: Any = compile_program(Program(values, (Conv1d("x", "y", weight, np.zeros(8, int)),), "x", ("y",)))
    assert executable.kernels == kernels
    # What a channel starts from, and its ratio; for amx up to a whole line of the cache.
    beside = {"neon": 0, "avx512vnni": 8 * 12, "amx": 128}.get(kernels, 8 * 4)
    weights = 1024 if kernels == "amx" else 8 * 8  # tiles of 16 maps x 64 taps
    assert executable.packed_bytes == (0 if kernels in ("c", "avx2") else weights + beside)
