"""Each op against SPEC.md, exhaustively where it can be, on every backend."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.oracle import run_exactly
from support.random_programs import CODE_TYPES, assert_same

from int_kernels import (
    INT8,
    INT32,
    UINT8,
    Argmax,
    Conv1d,
    Dyadic,
    IntType,
    Program,
    RangeError,
    Step,
    Sum,
    ValueSpec,
    compile_program,
)

LOW, HIGH = 1 << 30, (1 << 31) - 1


def run(backend: str, steps: Sequence[Step], values: dict[str, tuple[int, IntType]], x: NDArray[Any]) -> NDArray[Any]:
    """The last step's result for the input "x"."""
    specs = tuple(ValueSpec(name, *rest) for name, rest in values.items())
    program = Program(specs, tuple(steps), "x", (steps[-1].y,))
    (y,) = compile_program(program, backend).run([x])[0]
    return y


def every_code(code_type: IntType) -> NDArray[np.int64]:
    return np.arange(code_type.lo, code_type.hi + 1)[None, :]


@cache
def lattice(x_type: IntType, y_type: IntType) -> tuple[NDArray[Any], Dyadic, NDArray[Any]]:
    """Biases, ratios, and what they make of all codes, by integers of Python, once for all backends."""
    biases = [INT32.lo - x_type.lo, -(1 << 20), 0, 1 << 15, INT32.hi - x_type.hi]
    cases = [(b, m, r) for b in biases for m in (0, LOW, LOW + 1, 1518500250, HIGH) for r in range(1, 63)]
    bias, multiplier, shift = (np.array(column) for column in zip(*cases, strict=True))
    acc = (bias[:, None] + every_code(x_type)).tolist()
    expected = [
        # floor division of Python integers: exact at any size
        [min(max((2 * a * m + (1 << r)) // (1 << (r + 1)), y_type.lo), y_type.hi) for a in row]
        for row, (_, m, r) in zip(acc, cases, strict=True)
    ]
    return bias, Dyadic(multiplier, shift), np.array(expected)


@pytest.mark.parametrize("is_dense", [False, True], ids=["depthwise", "dense"])
@pytest.mark.parametrize("x_type", [INT8, UINT8], ids=str)
@pytest.mark.parametrize("y_type", [INT8, UINT8, INT32], ids=str)
def test_rescale_on_the_whole_lattice(backend: str, is_dense: bool, x_type: IntType, y_type: IntType) -> None:
    """All codes, added to biases at the int32 limits and near zero (ties); all shifts; the limits of the multiplier."""
    bias, rescale, expected = lattice(x_type, y_type)
    x = every_code(x_type)
    weight = np.ones((len(bias), 1, 1), np.int8)
    if is_dense:  # a second channel that weighs nothing
        x, weight = np.concatenate([x, x]), np.concatenate([weight, 0 * weight], axis=1)
    step = Conv1d("x", "y", weight, bias, rescale=rescale)
    assert_same([run(backend, [step], {"x": (len(x), x_type), "y": (len(bias), y_type)}, x)], [expected])


@pytest.mark.parametrize("x_type", CODE_TYPES, ids=str)
@pytest.mark.parametrize("y_type", CODE_TYPES, ids=str)
def test_every_pair_of_code_types(backend: str, x_type: IntType, y_type: IntType) -> None:
    """7/4 of every code, saturated to every type; and a ReLU."""
    for clip in (None, (0, y_type.hi)):
        step = Conv1d("x", "y", [[[7]]], [0], rescale=Dyadic([LOW], [32]), clip=clip)  # type: ignore[arg-type]
        y = run(backend, [step], {"x": (1, x_type), "y": (1, y_type)}, every_code(x_type))
        lo, hi = clip or (y_type.lo, y_type.hi)
        assert y.tolist() == [[min(max((14 * code + 4) // 8, lo), hi) for code in every_code(x_type)[0].tolist()]]


@pytest.mark.parametrize("groups", [1, 2, 4])
@pytest.mark.parametrize(("stride", "dilation"), [(1, 1), (1, 3), (2, 1), (2, 2), (2, 3), (3, 2), (4, 1), (5, 7)])
@pytest.mark.parametrize("padding", [0, 1, 4, 21])
def test_conv1d_shapes(backend: str, groups: int, stride: int, dilation: int, padding: int) -> None:
    random = np.random.default_rng(stride * 100 + dilation * 10 + padding)
    weight = random.integers(-128, 128, (8, 4 // groups, 3))
    step = Conv1d("x", "y", weight, random.integers(-999, 999, 8), stride, dilation, padding, groups)
    specs = (ValueSpec("x", 4, UINT8), ValueSpec("y", 8, INT32))
    program = Program(specs, (step,), "x", ("y",))
    for extra in (0, 1, 2, 17, 63, 64):
        x = random.integers(0, 256, (4, program.shortest_input + extra))
        assert_same(compile_program(program, backend).run([x])[0], run_exactly(program, x))


@pytest.mark.parametrize("kernel", [33, 39, 51, 63, 75, 87])
@pytest.mark.parametrize("dilation", [1, 2])
def test_quartznet_kernels(backend: str, kernel: int, dilation: int) -> None:
    random = np.random.default_rng(kernel)
    weight = random.integers(-128, 128, (3, 1, kernel))
    step = Conv1d("x", "y", weight, [1, 2, 3], 1, dilation, dilation * (kernel // 2), 3)  # type: ignore[arg-type]
    program = Program((ValueSpec("x", 3, UINT8), ValueSpec("y", 3, INT32)), (step,), "x", ("y",))
    x = random.choice([0, 255], (3, 70))
    (y,) = compile_program(program, backend).run([x])[0]
    assert y.shape == x.shape
    assert_same([y], run_exactly(program, x))


@pytest.mark.parametrize("padding", [0, 5])
def test_a_single_frame_sees_only_padding_around_it(backend: str, padding: int) -> None:
    weight = np.arange(1, 2 * padding + 2)[None, None, :]
    step = Conv1d("x", "y", weight, [0], padding=padding)  # type: ignore[arg-type]
    assert run(backend, [step], {"x": (1, INT8), "y": (1, INT32)}, np.array([[-7]])).tolist() == [[-7 * (padding + 1)]]


def test_sum_rounds_once(backend: str) -> None:
    """1/4 + 1/4 is 1/2, which rounds up to 1; rounding each branch first would give 0."""
    step = Sum(("x", "x"), "y", np.full((2, 1), 1), np.array([2]))
    y = run(backend, [step], {"x": (1, INT8), "y": (1, INT8)}, every_code(INT8))
    assert y.tolist() == [[(2 * code + 2) // 4 for code in range(-128, 128)]]


@pytest.mark.parametrize("shift", [1, 2, 31, 32, 61, 62])
def test_sum_at_the_limit_of_64_bits(backend: str, shift: int) -> None:
    """Three int32 branches as large as the 64-bit bound allows; one unit of multiplier more is refused."""
    half = 1 << (shift - 1)
    m = min(((1 << 63) - 1 - half) // (3 * INT32.hi), (1 << 63) // (3 << 31))
    x = np.array([[INT32.lo, INT32.lo + 1, -1, 0, 1, INT32.hi - 1, INT32.hi]])
    values = {"x": (1, INT32), "y": (1, INT32)}
    y = run(backend, [Sum(("x",) * 3, "y", np.full((3, 1), m), np.array([shift]))], values, x)
    assert y.tolist() == [[min(max((3 * a * m + half) >> shift, INT32.lo), INT32.hi) for a in x[0].tolist()]]
    with pytest.raises(RangeError, match="within 64 bits"):
        run(backend, [Sum(("x",) * 3, "y", np.full((3, 1), m + 1), np.array([shift]))], values, x)


def test_sum_takes_codes_and_accumulators_together(backend: str) -> None:
    random = np.random.default_rng(5)
    steps: list[Step] = [
        Conv1d("x", "a", random.integers(-128, 128, (3, 3, 1)), random.integers(-99, 99, 3)),
        Conv1d("x", "b", np.eye(3, dtype=int)[:, :, None], [0, 0, 0], rescale=Dyadic([LOW], [31])),  # type: ignore[arg-type]
        Sum(("a", "b", "x"), "y", random.integers(0, 1 << 20, (3, 3)), np.array([18, 25, 28]), (0, 63)),
    ]
    values = {"x": (3, UINT8), "a": (3, INT32), "b": (3, IntType(4)), "y": (3, IntType(6, signed=False))}
    program = Program(tuple(ValueSpec(n, *rest) for n, rest in values.items()), tuple(steps), "x", ("y", "b"))
    x = random.integers(0, 256, (3, 100))
    outputs = compile_program(program, backend).run([x])[0]
    assert_same(outputs, run_exactly(program, x))
    assert len(np.unique(outputs[0])) > 20


@pytest.mark.parametrize("x_type", [INT8, UINT8, INT32], ids=str)
def test_argmax_takes_the_lowest_of_equals(backend: str, x_type: IntType) -> None:
    hi, lo = x_type.hi, x_type.lo
    x = np.array([[lo, lo, hi, hi, 1], [lo, hi, hi, lo, 0], [lo, hi, hi, hi, 1]])
    y = run(backend, [Argmax("x", "y")], {"x": (3, x_type), "y": (1, INT32)}, x)
    assert y.tolist() == [[0, 1, 0, 0, 0]] and y.dtype == np.int32


def test_argmax_of_many_channels(backend: str) -> None:
    x = np.random.default_rng(0).integers(0, 5, (300, 200))
    y = run(backend, [Argmax("x", "y")], {"x": (300, UINT8), "y": (1, INT32)}, x)
    assert y.tolist() == [[row.index(max(row)) for row in x.T.tolist()]]


@pytest.mark.parametrize("is_dense", [False, True], ids=["depthwise", "dense"])
def test_ten_million_random_rescales_are_equal(kernels: str, is_dense: bool) -> None:
    """Reference == native on 10^7 accumulators of any size, any multiplier, any shift."""
    random = np.random.default_rng(3)
    channels, frames = 640, 1 << 14
    weight = random.integers(-128, 128, (channels, 2 if is_dense else 1, 1))
    bias = (random.integers(-(1 << 30), 1 << 30, channels) >> random.integers(0, 31, channels)).astype(np.int32)
    ratio = Dyadic(random.integers(LOW, HIGH, channels, endpoint=True), random.integers(1, 63, channels))
    step = Conv1d("x", "y", weight, bias, rescale=ratio)
    values = (ValueSpec("x", weight.shape[1], INT8), ValueSpec("y", channels, INT32))
    program = Program(values, (step,), "x", ("y",))
    x = random.integers(-128, 128, (weight.shape[1], frames))
    reference, native = (compile_program(program, name).run([x])[0] for name in ("reference", "native"))
    assert reference[0].size > 10**7
    assert_same(native, reference)
