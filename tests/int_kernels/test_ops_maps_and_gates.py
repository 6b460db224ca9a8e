"""conv2d, multiply, mean, lookup and the sum's bias against SPEC.md, on every backend, exhaustively where possible."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.oracle import run_exactly
from support.random_programs import CODE_TYPES, assert_same, codes

from int_kernels import (
    INT8,
    INT16,
    INT32,
    UINT8,
    Conv1d,
    Conv2d,
    Dyadic,
    IntType,
    Lookup,
    Mean,
    Multiply,
    Program,
    RangeError,
    Step,
    Sum,
    ValueSpec,
    compile_program,
)

LOW, HIGH = 1 << 30, (1 << 31) - 1
ONE = Dyadic(np.array([LOW]), np.array([30]))


def make(steps: Sequence[Step], values: dict[str, tuple[int, IntType]], *outputs: str) -> Program:
    specs = tuple(ValueSpec(name, *rest) for name, rest in values.items())
    return Program(specs, tuple(steps), "x", outputs or (steps[-1].y,))


def run(backend: str, program: Program, x: NDArray[Any]) -> NDArray[Any]:
    """The first output."""
    return compile_program(program, backend).run([x])[0][0]


def clipped(value: Fraction, y_type: IntType) -> int:
    return min(max(floor(value + Fraction(1, 2)), y_type.lo), y_type.hi)


@pytest.mark.parametrize("kernel", [(1, 1), (3, 3), (2, 5), (5, 2)])
@pytest.mark.parametrize("stride", [(1, 1), (2, 2), (3, 1)])
@pytest.mark.parametrize("padding", [(0, 0), (1, 1), (2, 4)])
@pytest.mark.parametrize("groups", [1, 2, 4])
def test_conv2d_shapes(
    backend: str, kernel: tuple[int, int], stride: tuple[int, int], padding: tuple[int, int], groups: int
) -> None:
    """Dense, grouped and depthwise maps of 6 rows, to two maps per group."""
    random = np.random.default_rng(sum(kernel) * 100 + sum(stride) * 10 + sum(padding))
    weight = random.integers(-128, 128, (2 * groups, 4 // groups, *kernel))
    step = Conv2d("x", "y", weight, random.integers(-999, 999, 2 * groups), 6, stride, padding, groups)
    program = make([step], {"x": (24, UINT8), "y": (step.channels_out, INT32)})
    for extra in (0, 1, 18):
        x = random.integers(0, 256, (24, program.shortest_input + extra))
        assert_same([run(backend, program, x)], run_exactly(program, x))


def test_conv2d_as_nemo_subsamples(backend: str) -> None:
    """80 mel bins, two convolutions of 3 x 3 with stride 2, the second depthwise, a pointwise one; rows c * 20 + h."""
    random = np.random.default_rng(0)
    rescale = Dyadic(random.integers(LOW, HIGH, 8), np.full(8, 40))
    clip = (0, 255)
    first = Conv2d("x", "a", codes(random, (8, 1, 3, 3), INT8), np.zeros(8, int), 80, (2, 2), (1, 1), 1, rescale, clip)
    second = Conv2d("a", "b", codes(random, (8, 1, 3, 3), INT8), np.zeros(8, int), 40, (2, 2), (1, 1), 8, rescale, clip)
    third = Conv2d("b", "y", codes(random, (8, 8, 1, 1), INT8), np.zeros(8, int), 20, rescale=rescale)
    values = {"x": (80, INT8), "a": (320, UINT8), "b": (160, UINT8), "y": (160, INT8)}
    program = make([first, second, third], values)
    x = random.integers(-128, 128, (80, 37))
    assert_same([run(backend, program, x)], run_exactly(program, x))
    assert program.lengths["y"].of(37) == 10


@pytest.mark.parametrize("frames", [1, 9, 130])
def test_conv2d_of_one_row_is_conv1d(backend: str, frames: int) -> None:
    random = np.random.default_rng(frames)
    weight, bias = random.integers(-128, 128, (6, 3, 5)), random.integers(-99, 99, 6)
    ratio = Dyadic(random.integers(LOW, HIGH, 6), np.full(6, 42))
    values = {"x": (3, INT8), "y": (6, INT8)}
    flat = make([Conv1d("x", "y", weight, bias, 2, 1, 2, rescale=ratio)], values)
    maps = make([Conv2d("x", "y", weight[:, :, None, :], bias, 1, (1, 2), (0, 2), rescale=ratio)], values)
    x = random.integers(-128, 128, (3, frames))
    assert_same([run(backend, maps, x)], [run(backend, flat, x)])


@pytest.mark.parametrize("y_type", [INT8, UINT8, INT32, IntType(3)], ids=str)
def test_conv2d_rescales_every_row_of_a_map_alike(backend: str, y_type: IntType) -> None:
    """All codes in all rows; every map its own multiplier and shift, at the limits too."""
    ratios = [(m, r) for m in (0, LOW, HIGH, 1518500250) for r in (1, 30, 31, 36, 62)]
    multiplier, shift = np.array(ratios).T
    step = Conv2d("x", "y", np.ones((20, 1, 1, 1), int), np.zeros(20, int), 3, rescale=Dyadic(multiplier, shift))
    x = np.stack([np.arange(-128, 128), np.arange(127, -129, -1), np.roll(np.arange(-128, 128), 9)])
    y = run(backend, make([step], {"x": (3, INT8), "y": (60, y_type)}), x).reshape(20, 3, 256)
    for rows, (m, r) in zip(y.tolist(), ratios, strict=True):
        assert rows == [[clipped(Fraction(code * m, 1 << r), y_type) for code in row] for row in x.tolist()]


@pytest.mark.parametrize("sign", [-1, 1])
def test_conv2d_at_the_int32_limit(backend: str, sign: int) -> None:
    """The accumulator reaches the last number of int32; one unit of bias more is refused."""
    weight = np.full((1, 1, 2, 2), 127)
    end = INT32.hi if sign > 0 else INT32.lo
    bias = end - 4 * 127 * (127 if sign > 0 else -128)
    values = {"x": (2, INT8), "y": (1, INT32)}
    y = run(
        backend, make([Conv2d("x", "y", weight, np.array([bias]), 2)], values), np.full((2, 4), sign * 127 - (sign < 0))
    )
    assert y.tolist() == [[end] * 3]
    with pytest.raises(RangeError, match="conv2d 'y': expected accumulators within"):
        make([Conv2d("x", "y", weight, np.array([bias + sign]), 2)], values)


@pytest.mark.parametrize("a_type", [INT8, UINT8, INT16], ids=str)
@pytest.mark.parametrize("b_type", [INT8, UINT8, INT16], ids=str)
def test_multiply_every_pair(backend: str, a_type: IntType, b_type: IntType) -> None:
    """All pairs of 8-bit codes, 256 of int16 with the rails; the range is that of the products."""
    a, b = (np.unique(np.linspace(t.lo, t.hi, 256).astype(int)) for t in (a_type, b_type))
    steps: list[Step] = [
        Lookup("x", "a", a),  # a number per frame
        Sum(("x",), "b", np.zeros((1, 256), int), np.ones(256, int), None, 2 * b),  # a number per channel
        Multiply(("a", "b"), "y"),
    ]
    program = make(steps, {"x": (256, UINT8), "a": (256, a_type), "b": (256, b_type), "y": (256, INT32)})
    y = run(backend, program, np.tile(np.arange(256), (256, 1)))
    assert np.array_equal(y, b[:, None] * a[None, :])
    assert (y.min(), y.max()) == tuple(int(bound[0]) for bound in program.ranges["y"])


def test_a_gate_holds_for_all_frames(backend: str) -> None:
    """x_2 of length once: the mean over time scales every frame."""
    x = np.random.default_rng(0).integers(0, 256, (5, 133))
    steps: list[Step] = [Mean("x", "g", ONE), Multiply(("x", "g"), "y")]
    program = make(steps, {"x": (5, UINT8), "g": (5, INT16), "y": (5, INT32)}, "y", "g")
    y, g = compile_program(program, backend).run([x])[0]
    means = [clipped(Fraction(sum(row), 133), INT16) for row in x.tolist()]
    assert g.tolist() == [[m] for m in means] and y.tolist() == [
        [v * m for v in row] for row, m in zip(x.tolist(), means, strict=True)
    ]


@pytest.mark.parametrize("frames", [1, 2, 3, 7, 64, 65, 999])
@pytest.mark.parametrize("y_type", [INT8, UINT8, INT16], ids=str)
def test_mean_is_rounded_once(backend: str, frames: int, y_type: IntType) -> None:
    """Against fractions: every shift, the limits of the multiplier, ties."""
    random = np.random.default_rng(frames)
    ratios = [(m, r) for m in (0, LOW, HIGH, 1431655766) for r in range(1, 41)]
    multiplier, shift = np.array(ratios).T
    for x_type in (INT8, UINT8):
        x = np.stack([codes(random, (frames,), x_type) >> random.integers(0, 8) for _ in ratios])
        step = Mean("x", "y", Dyadic(multiplier, shift))
        y = run(backend, make([step], {"x": (len(x), x_type), "y": (len(x), y_type)}), x)
        expected = [
            clipped(Fraction(sum(row), frames) * Fraction(m, 1 << r), y_type)
            for row, (m, r) in zip(x.tolist(), ratios, strict=True)
        ]
        assert y.shape == (len(x), 1) and y[:, 0].tolist() == expected


def test_mean_of_the_longest_utterance(backend: str) -> None:
    """2^20 frames at the rails, the largest multiplier, both ends of the shift: 64 bits suffice."""
    for x_type, rail in ((UINT8, 255), (INT8, -128)):
        x = np.full((1, 1 << 20), rail)
        x[0, 0] = 0
        for shift in (1, 30, 40):
            program = make(
                [Mean("x", "y", Dyadic(np.array([HIGH]), np.array([shift])))], {"x": (1, x_type), "y": (1, INT16)}
            )
            expected = clipped(Fraction(rail * ((1 << 20) - 1), 1 << 20) * Fraction(HIGH, 1 << shift), INT16)
            assert run(backend, program, x).tolist() == [[expected]]


@pytest.mark.parametrize("x_type", CODE_TYPES, ids=str)
@pytest.mark.parametrize("y_type", [INT8, UINT8, INT16, IntType(2)], ids=str)
def test_lookup_of_every_code(backend: str, x_type: IntType, y_type: IntType) -> None:
    table = codes(np.random.default_rng(x_type.bits), (1 << x_type.bits,), y_type)
    x = np.stack([np.arange(x_type.lo, x_type.hi + 1), np.arange(x_type.lo, x_type.hi + 1)[::-1]])
    program = make([Lookup("x", "y", table)], {"x": (2, x_type), "y": (2, y_type)})
    assert run(backend, program, x).tolist() == [table.tolist(), table[::-1].tolist()]
    assert [bound.tolist() for bound in program.ranges["y"]] == [[table.min()] * 2, [table.max()] * 2]


@pytest.mark.parametrize("y_type", [INT8, UINT8, INT16, INT32], ids=str)
def test_sum_adds_its_bias_before_it_rounds(backend: str, y_type: IntType) -> None:
    """(5 x + bias) / 2^r for biases around ties, far away and at the limits of 64 bits."""
    shift = np.array([1, 3, 3, 3, 30, 62, 62, 1, 1])
    bias = np.array([1, 3, 4, -4, 1 << 40, 1 << 61, -(1 << 61), (1 << 62), -(1 << 62)])
    x = np.tile(np.arange(-128, 128), (9, 1))
    y = run(
        backend, make([Sum(("x",), "y", np.full((1, 9), 5), shift, None, bias)], {"x": (9, INT8), "y": (9, y_type)}), x
    )
    for row, b, r in zip(y.tolist(), bias.tolist(), shift.tolist(), strict=True):
        assert row == [clipped(Fraction(5 * code + b, 1 << r), y_type) for code in range(-128, 128)]


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_bias_of_a_sum_at_the_limit_of_64_bits(backend: str, sign: int) -> None:
    values = {"x": (1, INT32), "y": (1, INT32)}
    end = (1 << 63) - 1 - 1 - HIGH * INT32.hi if sign > 0 else -(1 << 63) + HIGH * (1 << 31)
    x = np.array([[INT32.lo, -1, 0, 1, INT32.hi]])
    step = Sum(("x",), "y", np.array([[HIGH]]), np.array([1]), None, np.array([end]))
    assert run(backend, make([step], values), x).tolist() == [[INT32.hi if sign > 0 else INT32.lo] * 5]
    with pytest.raises(RangeError, match="within 64 bits"):
        make([Sum(("x",), "y", np.array([[HIGH]]), np.array([1]), None, np.array([end + sign]))], values)


@pytest.mark.parametrize("x_type", [INT16, INT8, UINT8], ids=str)
def test_sums_into_an_int16_stream(backend: str, x_type: IntType) -> None:
    """A residual stream: the stream itself, codes and accumulators, one rounding."""
    random = np.random.default_rng(1)
    steps: list[Step] = [
        Sum(("x",), "s", np.full((1, 4), 300), np.full(4, 8)),
        Sum(("s",), "c", np.full((1, 4), 300), np.full(4, 16)),
        Conv1d("c", "a", random.integers(-128, 128, (4, 4, 1)), np.zeros(4, int)),
        Sum(
            ("s", "c", "a"), "y", random.integers(0, 1 << 20, (3, 4)), np.full(4, 20), None, random.integers(-99, 99, 4)
        ),
    ]
    values = {"x": (4, x_type), "s": (4, INT16), "c": (4, INT8), "a": (4, INT32), "y": (4, INT16)}
    program = make(steps, values, "y", "s")
    x = codes(random, (4, 150), x_type)
    assert_same(compile_program(program, backend).run([x])[0], run_exactly(program, x))


@pytest.mark.parametrize("frames", [1, 5, 64, 67])
def test_values_of_length_once_go_through_everything_pointwise(backend: str, frames: int) -> None:
    """mean -> conv1d -> sum -> lookup -> multiply, whatever the length of the utterance."""
    random = np.random.default_rng(frames)
    steps: list[Step] = [
        Mean("x", "m", ONE),
        Conv1d("m", "a", random.integers(-128, 128, (3, 3, 1)), np.zeros(3, int)),
        Sum(("a",), "b", np.full((1, 3), 1 << 20), np.full(3, 27)),
        Lookup("b", "g", random.integers(-32768, 32768, 256)),
        Multiply(("x", "g"), "y"),
    ]
    values = {"x": (3, INT8), "m": (3, INT8), "a": (3, INT32), "b": (3, INT8), "g": (3, INT16), "y": (3, INT32)}
    program = make(steps, values, "y", "g", "a")
    x = random.integers(-128, 128, (3, frames))
    outputs = compile_program(program, backend).run([x])[0]
    assert_same(outputs, run_exactly(program, x))
    assert outputs[1].shape == outputs[2].shape == (3, 1)
