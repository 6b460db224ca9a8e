"""The C side looks at a program's sizes again before it trusts them."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_int32

import numpy as np
import pytest

from int_kernels import INT32, UINT8, Argmax, Conv1d, Dyadic, Program, Sum, ValueSpec
from int_kernels.native_executable import NativeExecutable, _Program, library_path, load_library

ZQ_OK, ZQ_BAD_PROGRAM = 0, 1


def make() -> NativeExecutable:
    """x -> a (strided), a -> b (raw), b + b -> s, argmax(s) -> t."""
    values = [("x", 4, UINT8), ("a", 4, UINT8), ("b", 4, INT32), ("s", 4, UINT8), ("t", 1, INT32)]
    half = Dyadic(np.full(4, 1 << 30), np.full(4, 31))
    steps = (
        Conv1d("x", "a", np.ones((4, 1, 3), int), np.zeros(4, int), 2, 1, 1, 4, half),
        Conv1d("a", "b", np.ones((4, 4, 1), int), np.zeros(4, int)),
        Sum(("b", "b"), "s", np.ones((2, 4), int), np.ones(4, int)),
        Argmax("s", "t"),
    )
    return NativeExecutable(Program(tuple(ValueSpec(*value) for value in values), steps, "x", ("t", "s")))


def check(layout: _Program) -> tuple[int, int]:
    """(status, step at fault)."""
    path = library_path()
    assert path is not None
    faulty = c_int32()
    return load_library(path).zq_check(layout, faulty), faulty.value


def set_value(index: int, name: str, number: int) -> Callable[[_Program], None]:
    return lambda layout: setattr(layout.values[index], name, number)


def set_step(index: int, name: str, number: int | None) -> Callable[[_Program], None]:
    return lambda layout: setattr(layout.steps[index], name, number)


def set_element(index: int, name: str, at: int, number: int) -> Callable[[_Program], None]:
    return lambda layout: getattr(layout.steps[index], name).__setitem__(at, number)


DAMAGE: list[tuple[str, Callable[[_Program], None], int]] = [
    *[(f"channels {n}", set_value(1, "channels", n), -1) for n in (0, -1, 1 << 17)],
    *[(f"storage {n}", set_value(1, "storage", n), -1) for n in (-1, 3)],
    *[(f"place {n}", set_value(1, "place", n), -1) for n in (-4, 99)],
    *[(f"value stride {n}", set_value(2, "stride", n), -1) for n in (0, -1, 1 << 40)],
    ("value offset", set_value(2, "offset", 1 << 40), -1),
    ("no steps", lambda layout: setattr(layout, "steps_count", 0), -1),
    ("no values", lambda layout: setattr(layout, "values", None), -1),
    ("wrong length", set_value(1, "offset", 2), 0),
    ("wrong channels for groups", set_value(0, "channels", 3), 0),
    *[(f"op {n}", set_step(0, "op", n), 0) for n in (-1, 3)],
    *[(f"y {n}", set_step(0, "y", n), 0) for n in (-1, 5)],
    ("y is the input", set_step(0, "y", 0), 0),
    ("no inputs", set_step(0, "inputs", 0), 0),
    ("no x", set_step(0, "x", None), 0),
    *[(f"x {n}", set_element(0, "x", 0, n), 0) for n in (-1, 5, 99)],
    ("x comes later", set_element(0, "x", 0, 2), 0),
    *[(f"kernel {n}", set_step(0, "kernel", n), 0) for n in (0, -1, 1 << 20, 4)],
    *[(f"stride {n}", set_step(0, "stride", n), 0) for n in (0, -2, 1)],
    *[(f"dilation {n}", set_step(0, "dilation", n), 0) for n in (0, 1 << 16)],
    *[(f"padding {n}", set_step(0, "padding", n), 0) for n in (-1, 2)],
    *[(f"groups {n}", set_step(0, "groups", n), 0) for n in (0, 3, -4)],
    ("no weight", set_step(0, "weight", None), 0),
    ("no bias", set_step(0, "bias", None), 0),
    ("no shift", set_step(0, "shift", None), 0),
    ("raw into a code", set_step(0, "multiplier", None), 0),
    *[(f"shift {n}", set_element(0, "shift", 3, n), 0) for n in (0, 63, -1)],
    ("clip", set_step(0, "clip_lo", 256), 0),
    ("int32 into a convolution", set_value(0, "storage", 2), 0),
    ("sum without multipliers", set_step(2, "multiplier", None), 2),
    ("sum of another length", set_element(2, "x", 1, 0), 2),
    ("argmax of two", set_step(3, "inputs", 2), 3),
    ("argmax into codes", set_value(4, "storage", 0), 3),
    ("made twice", set_step(2, "y", 2), 2),
    ("written over its input", lambda layout: setattr(layout.values[2], "place", layout.values[1].place), 1),
]


def test_a_sound_program_passes() -> None:
    assert check(make()._layout.program) == (ZQ_OK, 4)


@pytest.mark.parametrize(("damage", "step"), [(d, s) for _, d, s in DAMAGE], ids=[name for name, _, _ in DAMAGE])
def test_damage_is_found(damage: Callable[[_Program], None], step: int) -> None:
    executable = make()  # holds the arrays while C looks at them
    damage(executable._layout.program)
    assert check(executable._layout.program) == (ZQ_BAD_PROGRAM, step)
