"""Every table of inner loops against the reference where vector code breaks: rails, odd sizes, tails, padding."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from support.convolution_extremes import EXTREMES, UNITS, block, separable
from support.families import Case, every_call
from support.random_programs import assert_native

from int_kernels import INT32, UINT8, Conv1d, Program, ValueSpec, compile_program
from int_kernels.backends.native.executable import NativeExecutable


@pytest.mark.parametrize("make", every_call([*EXTREMES, *UNITS]))
def test_native_equals_reference(kernels: str, make: Callable[[], Iterator[Case]]) -> None:
    for program, x in make():
        assert_native(program, x)


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
