"""Activations and layer norms on every table of inner loops against the reference: every function, type and length."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.random_programs import assert_same

from int_kernels import (
    ACTIVATIONS,
    INT8,
    INT16,
    INT32,
    UINT8,
    Activation,
    Conv1d,
    Dyadic,
    IntType,
    LayerNorm,
    Program,
    Step,
    Sum,
    ValueSpec,
    compile_program,
)
from int_kernels.backends.native.executable import NativeExecutable

RAMP = np.arange(-128, 128)


def ramp_times(factors: NDArray[Any]) -> Conv1d:
    """a[c, t] = x[0, t] * factors[c] as accumulators."""
    return Conv1d("x", "a", factors[:, None, None], np.zeros(len(factors), int))


def compare(program: Program, x: NDArray[Any]) -> NDArray[Any]:
    (expected,) = compile_program(program, "reference").run([x])
    for threads in (1, 3):
        assert_same(compile_program(program).run([x], threads)[0], expected, f"{threads} threads")
    unpacked = NativeExecutable(program)
    for index in range(unpacked._layout.program.steps_count):
        unpacked._layout.program.steps[index].packed = None
    assert_same(unpacked.run([x])[0], expected, "nothing packed")
    result: NDArray[Any] = expected[0]
    return result


def activation(kind: str, step: Activation, x_type: IntType, y_type: IntType) -> Program:
    values, steps = [ValueSpec("x", 1, INT8), ValueSpec("a", 9, INT32)], list[Step]()
    steps.append(ramp_times(np.array([-128, -77, -5, -1, 0, 1, 3, 50, 127])))
    if x_type != INT32:
        values.append(ValueSpec("b", 9, x_type))
        steps.append(Sum(("a",), "b", np.full((1, 9), 1 << 20), np.full(9, 20 + (6 if x_type.is_code else 0))))
    values.append(ValueSpec("y", 9, y_type))
    return Program(tuple(values), (*steps, step), "x", ("y",))


@pytest.mark.parametrize("x_type", [INT8, UINT8, INT16, INT32], ids=str)
@pytest.mark.parametrize("y_type", [INT8, UINT8, INT16, IntType(4)], ids=str)
@pytest.mark.parametrize("kind", sorted(ACTIVATIONS))
def test_every_function_and_type(kernels: str, kind: str, x_type: IntType, y_type: IntType) -> None:
    """Numbers from 0 to far beyond the table's end, in channels with shifts of every kind."""
    count, name = ACTIVATIONS[kind], "a" if x_type == INT32 else "b"
    scale = {"int8": 1 << 10, "uint8": 1 << 10, "int16": 16, "int32": 16}[x_type.name]
    shift = np.array([30, 31, 32, 33, 34, 35, 28, 60, 30]) - scale.bit_length()
    ratio = Dyadic(np.array([1 << 30] * 8 + [0]), np.maximum(shift, 1))
    for r, offset in ((62, 0), (46 if kind not in ("sigmoid", "tanh") else 30, 3), (33, -100)):
        step = Activation(kind, (name,) * count, "y", (ratio,) * count, (1 << 31) - 1, r, offset)
        compare(activation(kind, step, x_type, y_type), RAMP[None])


@pytest.mark.parametrize("kind", sorted(ACTIVATIONS))
def test_every_fixed_point_number(kernels: str, kind: str) -> None:
    """u from -65536 to 65536, one by one; v survives in 16 bits."""
    count = ACTIVATIONS[kind]
    values = [ValueSpec("x", 2, INT8), ValueSpec("a", 1025, INT32), ValueSpec("y", 1025, INT16)]
    weight = np.stack([np.ones(1025, int), np.zeros(1025, int)], axis=1)[:, :, None]
    spread = Conv1d("x", "a", weight, 128 * np.arange(-512, 513))
    one = Dyadic(np.array([1 << 30]), np.array([30]))
    r = 31 if kind in ("sigmoid", "tanh") else 47
    step = Activation(kind, ("a",) * count, "y", (one,) * count, 1 << 30, r, 0)
    x = np.stack([np.concatenate([np.arange(-64, 64), [0]]), np.zeros(129, int)])
    y = compare(Program(tuple(values), (spread, step), "x", ("y",)), x)
    assert y.max() > 8000


@pytest.mark.parametrize("x_type", [INT8, UINT8, INT16], ids=str)
@pytest.mark.parametrize("y_type", [INT8, UINT8, INT16], ids=str)
@pytest.mark.parametrize("frames", [1, 7, 8, 9, 16, 17, 31, 33, 63, 64, 65, 130])
def test_norms(kernels: str, x_type: IntType, y_type: IntType, frames: int) -> None:
    random = np.random.default_rng(frames)
    values = [
        ValueSpec("x", 5, INT8),
        ValueSpec("a", 37, INT32),
        ValueSpec("b", 37, x_type),
        ValueSpec("y", 37, y_type),
    ]
    wide = Conv1d("x", "a", random.integers(-128, 128, (37, 5, 1)), np.zeros(37, int))
    codes = Sum(("a",), "b", np.full((1, 37), 1 << 20), np.full(37, 20 if x_type == INT16 else 28))
    factors, bias = random.integers(-(1 << 31), 1 << 31, 37), random.integers(-(1 << 44), 1 << 44, 37)
    shift = np.where(np.arange(37) % 5, 31 + 14 - 6 * y_type.is_code + 6, np.arange(37) + 1)
    for epsilon in (1, 1 << 40, 1 << 60):
        norm = LayerNorm("b", "y", epsilon, factors, bias, shift)
        x = random.integers(-128, 128, (5, frames))
        x[:, ::9] = 0  # frames without any deviation
        compare(Program(tuple(values), (wide, codes, norm), "x", ("y",)), x)


@pytest.mark.parametrize("channels", [1, 2, 1024])
def test_norms_of_rails(kernels: str, channels: int) -> None:
    """The largest sums and squares there are."""
    values = [ValueSpec("x", 1, INT8), ValueSpec("a", channels, INT32)]
    values += [ValueSpec("b", channels, INT16), ValueSpec("y", channels, INT16)]
    for signs in (
        np.ones(channels, int),
        np.where(np.arange(channels) % 2, 127, -127),
        np.eye(1, channels, dtype=int)[0],
    ):
        rails = Sum(("a",), "b", np.full((1, channels), (1 << 31) - 1), np.full(channels, 1))
        norm = LayerNorm("b", "y", 1, np.full(channels, 1 << 30), np.zeros(channels, int), np.full(channels, 33))
        compare(
            Program(tuple(values), (ramp_times(signs), rails, norm), "x", ("y",)), np.array([[-128, -1, 0, 1, 127]])
        )
