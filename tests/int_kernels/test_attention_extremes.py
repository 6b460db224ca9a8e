"""Attention on every table of inner loops against the reference where vector code breaks: depths, lengths, rails."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.random_programs import assert_same

from int_kernels import INT8, INT16, UINT8, Attention, Conv1d, Dyadic, IntType, Positions, Program, Step, ValueSpec
from int_kernels import compile_program as compiled

NAMES = ("qu", "qv", "k", "v", "p")


def linear(random: np.random.Generator, x: str, y: str, shape: tuple[int, int], y_type: IntType) -> Conv1d:
    """Numbers that fill the type, rails included."""
    shift = 31 + 7 + int(np.sqrt(shape[1])).bit_length() - (1 if y_type.signed else 2)
    ratio = Dyadic(random.integers(1 << 30, 1 << 31, shape[0]), np.full(shape[0], shift))
    return Conv1d(x, y, random.integers(-128, 128, (*shape, 1)), np.zeros(shape[0], int), rescale=ratio)


def attention(
    random: np.random.Generator, depth: int, heads: int, types: tuple[IntType, ...], y_type: IntType, **rest: Any
) -> Program:
    width = depth * heads
    values = [ValueSpec("x", 5, INT8), ValueSpec("s", 6, INT8)]
    values += [ValueSpec(name, width, each) for name, each in zip(NAMES, types, strict=True)]
    values.append(ValueSpec("y", width, y_type))
    fine, coarse = (random.integers(-16384, 16385, (2, 3, n)) for n in (64, 20))
    steps: list[Step] = [Positions("x", "s", fine, coarse)]
    steps += [
        linear(random, "s" if name == "p" else "x", name, (width, 6 if name == "p" else 5), each)
        for name, each in zip(NAMES, types, strict=True)
    ]
    ratio = Dyadic(random.integers(1 << 30, 1 << 31, width), 44 - 8 * (y_type == INT16) + np.arange(width) % 3)
    factors: dict[str, Any] = {"content": np.full(heads, 1 << 20), "position": np.full(heads, 1 << 20), "shift": 20}
    step = Attention(*NAMES, "y", heads, **(factors | rest), rescale=ratio)
    return Program(tuple(values), (*steps, step), "x", ("y",))


def compare(program: Program, frames: int, seed: int = 0) -> None:
    x = np.random.default_rng(seed).integers(-128, 128, (5, frames))
    (expected,) = compiled(program, "reference").run([x])
    for threads in (1, 3):
        assert_same(compiled(program).run([x], threads)[0], expected, f"{threads} threads")
    assert (expected[0] != expected[0][:1, :1]).any() or expected[0].size == 1


@pytest.mark.parametrize("frames", [1, 2, 3, 5, 6, 7, 15, 16, 17, 63, 64, 65, 66, 70, 127, 128, 129, 200])
def test_every_length(kernels: str, frames: int) -> None:
    compare(attention(np.random.default_rng(frames), 8, 2, (INT8,) * 5, INT8), frames)


@pytest.mark.parametrize("depth", [1, 2, 3, 4, 5, 15, 16, 17, 44, 63, 64, 65, 80, 130])
def test_every_depth(kernels: str, depth: int) -> None:
    compare(attention(np.random.default_rng(depth), depth, 2, (INT8,) * 5, INT16), 70)


@pytest.mark.parametrize("signs", range(32))
def test_every_sign(kernels: str, signs: int) -> None:
    types = tuple(UINT8 if signs >> i & 1 else INT8 for i in range(5))
    compare(attention(np.random.default_rng(signs), 12, 1, types, (INT8, UINT8, IntType(5))[signs % 3]), 67)


def test_many_keys(kernels: str) -> None:
    """Equal scores and the largest values: sums beyond 32 bits, unless they are taken in parts."""
    for types in ((INT8,) * 5, (INT8, INT8, INT8, UINT8, INT8)):
        rest = {"content": np.zeros(1, int), "position": np.zeros(1, int)}
        program = attention(np.random.default_rng(1), 4, 1, types, INT16, **rest)
        compare(program, 1100)
        values, steps = list(program.values), list(program.steps)
        v = steps[4]
        assert isinstance(v, Conv1d)
        highest = Dyadic(np.array([1 << 30]), np.array([1]))  # the highest code always
        steps[4] = Conv1d("x", "v", v.weight * 0, v.bias + 1, rescale=highest)
        full = Program(tuple(values), tuple(steps), "x", ("y",))
        x = np.zeros((5, 1200), int)
        assert_same(compiled(full).run([x])[0], compiled(full, "reference").run([x])[0])


@pytest.mark.parametrize("shift", [1, 2, 20, 31, 32, 33, 34, 40, 61, 62])
@pytest.mark.parametrize("factor", [0, 1, 1 << 12, (1 << 31) - 1])
def test_every_scale_of_scores(kernels: str, shift: int, factor: int) -> None:
    """From all equal, over scores that saturate, to one that takes all."""
    random = np.random.default_rng(shift)
    rest = {"content": np.array([factor, 1 << 30]), "position": np.array([1 << 30, factor // 3]), "shift": shift}
    compare(attention(random, 20, 2, (INT8,) * 5, INT8, **rest), 33)
