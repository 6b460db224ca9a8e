"""The C side looks at a program's sizes again before it trusts them."""

from __future__ import annotations

from collections.abc import Callable
from ctypes import c_int32
from typing import Any

import numpy as np
import pytest

from int_kernels import (
    INT8,
    INT16,
    INT32,
    UINT8,
    Activation,
    Argmax,
    Attention,
    Conv1d,
    Conv2d,
    Dyadic,
    LayerNorm,
    Lookup,
    Mean,
    Multiply,
    Positions,
    Program,
    Sum,
    ValueSpec,
)
from int_kernels.backends.native.executable import NativeExecutable, library_path, load_library
from int_kernels.backends.native.layout import ProgramStruct

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


def check(layout: ProgramStruct) -> tuple[int, int]:
    """(status, step at fault)."""
    path = library_path()
    assert path is not None
    faulty = c_int32()
    return load_library(path).zq_check(layout, faulty), faulty.value


def set_value(index: int, name: str, number: int) -> Callable[[ProgramStruct], None]:
    return lambda layout: setattr(layout.values[index], name, number)


def owner(layout: ProgramStruct, index: int, path: str) -> tuple[Any, str]:
    """The struct that has the field `path` of a step, "y" or "conv.kernel", and the field's name in it."""
    step, (*params, name) = layout.steps[index], path.split(".")
    return getattr(step.params, params[0]) if params else step, name


def set_step(index: int, path: str, number: int | None) -> Callable[[ProgramStruct], None]:
    return lambda layout: setattr(*owner(layout, index, path), number)


def set_element(index: int, path: str, at: int, number: int) -> Callable[[ProgramStruct], None]:
    return lambda layout: getattr(*owner(layout, index, path)).__setitem__(at, number)


def make_all() -> NativeExecutable:
    """One step of each op that `make` does not have: index of the step = index of its value - 1."""
    values = [("x", 4, UINT8), ("a", 4, UINT8), ("m", 4, INT8), ("p", 4, INT32), ("l", 4, INT16), ("u", 4, INT8)]
    values += [("n", 4, INT8), ("r", 4, INT8), ("t", 4, INT8)]
    half, ones = Dyadic(np.full(1, 1 << 30), np.full(1, 31)), np.ones(4, int)
    steps = (
        Conv2d("x", "a", np.ones((2, 2, 3, 3), int), np.zeros(2, int), 2, (1, 1), (1, 1), 1, half),
        Mean("a", "m", half),
        Multiply(("a", "m"), "p"),
        Lookup("a", "l", np.arange(256)),
        Activation("glu", ("p", "l"), "u", (half, half), 1 << 30, 50),
        LayerNorm("l", "n", 1, ones, ones, ones),
        Positions("n", "r", np.ones((2, 2, 64), int), np.ones((2, 2, 3), int)),
        Attention("n", "n", "u", "n", "r", "t", 2, np.ones(2, int), np.ones(2, int), 20, half),
    )
    return NativeExecutable(Program(tuple(ValueSpec(*value) for value in values), steps, "x", ("t", "p")))


DAMAGE: list[tuple[str, Callable[[ProgramStruct], None], int]] = [
    *[(f"channels {n}", set_value(1, "channels", n), -1) for n in (0, -1, 1 << 17)],
    *[(f"storage {n}", set_value(1, "storage", n), -1) for n in (-1, 4)],
    *[(f"value length {n}", set_value(1, "length", n), -1) for n in (-1, 3)],
    ("once, yet as long as the input", set_value(1, "length", 2), -1),
    *[(f"place {n}", set_value(1, "place", n), -1) for n in (-4, 99)],
    *[(f"value stride {n}", set_value(2, "stride", n), -1) for n in (0, -1, 1 << 40)],
    ("value offset", set_value(2, "offset", 1 << 40), -1),
    ("no steps", lambda layout: setattr(layout, "steps_count", 0), -1),
    ("no values", lambda layout: setattr(layout, "values", None), -1),
    ("wrong length", set_value(1, "offset", 2), 0),
    ("wrong channels for groups", set_value(0, "channels", 3), 0),
    *[(f"op {n}", set_step(0, "op", n), 0) for n in (-1, 11)],
    *[(f"y {n}", set_step(0, "y", n), 0) for n in (-1, 5)],
    ("y is the input", set_step(0, "y", 0), 0),
    ("no inputs", set_step(0, "inputs", 0), 0),
    ("no x", set_step(0, "x", None), 0),
    *[(f"x {n}", set_element(0, "x", 0, n), 0) for n in (-1, 5, 99)],
    ("x comes later", set_element(0, "x", 0, 2), 0),
    *[(f"kernel {n}", set_step(0, "conv.kernel", n), 0) for n in (0, -1, 1 << 20, 4)],
    *[(f"stride {n}", set_step(0, "conv.stride", n), 0) for n in (0, -2, 1)],
    *[(f"dilation {n}", set_step(0, "conv.dilation", n), 0) for n in (0, 1 << 16)],
    *[(f"padding {n}", set_step(0, "conv.padding", n), 0) for n in (-1, 2)],
    *[(f"groups {n}", set_step(0, "conv.groups", n), 0) for n in (0, 3, -4)],
    ("no weight", set_step(0, "conv.weight", None), 0),
    ("no bias", set_step(0, "conv.bias", None), 0),
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


MORE_DAMAGE: list[tuple[str, Callable[[ProgramStruct], None], int]] = [
    *[(f"rows {n}", set_step(0, "conv.height", n), 0) for n in (0, -1, 3, 1 << 20)],
    *[(f"kernel rows {n}", set_step(0, "conv.kernel_height", n), 0) for n in (0, 5, 1 << 20)],
    *[(f"stride rows {n}", set_step(0, "conv.stride_height", n), 0) for n in (0, -1)],
    *[(f"padding rows {n}", set_step(0, "conv.padding_height", n), 0) for n in (-1, 1 << 20, 4)],
    ("dilated feature maps", set_step(0, "conv.dilation", 2), 0),
    ("conv1d of feature maps", set_step(0, "op", 0), 0),
    ("mean of sums", set_value(1, "storage", 2), 1),
    ("mean as long as its input", set_element(1, "x", 0, 2), 1),
    ("mean without shift", set_step(1, "shift", None), 1),
    ("shift 41 of a mean", set_element(1, "shift", 0, 41), 1),
    ("product in 16 bits", set_value(3, "storage", 3), 2),
    ("product of one", set_step(2, "inputs", 1), 2),
    ("product of once and frames", set_element(2, "x", 0, 2), 2),
    ("no table", set_step(3, "lookup.table", None), 3),
    ("lookup in sums", set_value(4, "storage", 2), 3),
    *[(f"lookup offset {n}", set_step(3, "lookup.offset", n), 3) for n in (-1, 1)],
    *[(f"function {n}", set_step(4, "activation.kind", n), 4) for n in (-1, 2, 5)],
    *[(f"factor shift {n}", set_step(4, "activation.shift", n), 4) for n in (0, 63)],
    ("factor", set_step(4, "activation.multiplier", -1), 4),
    ("activation offset", set_step(4, "activation.offset", 1 << 20), 4),
    ("gate of another length", set_element(4, "x", 1, 2), 4),
    *[(f"shift {n} of a gate", set_element(4, "shift", 7, n), 4) for n in (0, 63)],
    *[(f"epsilon {n}", set_step(5, "layer_norm.epsilon", n), 5) for n in (0, -1, 1 << 61)],
    ("norm without bias", set_step(5, "layer_norm.bias", None), 5),
    ("norm of sums", set_element(5, "x", 0, 3), 5),
    *[(f"blocks {n}", set_step(6, "positions.blocks", n), 6) for n in (0, -1)],
    ("positions as long as frames", set_value(7, "length", 0), 6),
    *[(f"heads {n}", set_step(7, "attention.heads", n), 7) for n in (0, -1, 3)],
    ("attention to four", set_step(7, "inputs", 4), 7),
    ("attention without positions", set_element(7, "x", 4, 5), 7),
    ("attention to numbers", set_element(7, "x", 3, 4), 7),
    ("negative scores", set_element(7, "attention.position", 1, -1), 7),
    *[(f"score shift {n}", set_step(7, "attention.shift", n), 7) for n in (0, 63)],
]


def test_a_sound_program_passes() -> None:
    assert check(make()._layout.program) == (ZQ_OK, 4)
    assert check(make_all()._layout.program) == (ZQ_OK, 8)


@pytest.mark.parametrize(("damage", "step"), [(d, s) for _, d, s in DAMAGE], ids=[name for name, _, _ in DAMAGE])
def test_damage_is_found(damage: Callable[[ProgramStruct], None], step: int) -> None:
    executable = make()  # holds the arrays while C looks at them
    damage(executable._layout.program)
    assert check(executable._layout.program) == (ZQ_BAD_PROGRAM, step)


@pytest.mark.parametrize(("damage", "step"), [(d, s) for _, d, s in MORE_DAMAGE], ids=[n for n, _, _ in MORE_DAMAGE])
def test_damage_of_other_ops_is_found(damage: Callable[[ProgramStruct], None], step: int) -> None:
    executable = make_all()
    damage(executable._layout.program)
    assert check(executable._layout.program) == (ZQ_BAD_PROGRAM, step)
