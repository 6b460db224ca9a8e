"""The face a microcontroller sees: one call, one arena whose size is known ahead, nothing allocated."""

from __future__ import annotations

from ctypes import POINTER, addressof, c_int, c_int32, c_uint64, c_void_p
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.random_programs import assert_same, inputs, lengths, programs

from int_kernels import Program, compile_program
from int_kernels.backends.native.executable import NativeExecutable

ZQ_OK, ZQ_BAD_LENGTH, ZQ_SMALL_ARENA = 0, 2, 3
GUARD = 256


def call(program: Program, x: NDArray[Any], arena: NDArray[np.uint8], size: int, frames: int) -> tuple[int, list[Any]]:
    """(status, outputs) of zq_run."""
    executable = NativeExecutable(program)
    library, layout, kernels = executable._library, executable._layout, executable._kernels
    outputs = executable._empty_outputs(x.shape[1])
    pointers = (c_void_p * len(outputs))(*(y.ctypes.data for y in outputs))
    library.zq_run.restype = c_int
    library.zq_run.argtypes = [c_void_p, c_void_p, c_int32, c_void_p, POINTER(c_void_p), c_void_p, c_uint64]
    status = library.zq_run(
        addressof(layout.program), kernels, frames, x.ctypes.data, pointers, arena.ctypes.data, size
    )
    return status, list(outputs)


@settings(max_examples=40)
@given(program=programs(most_channels=20, longest_kernel=9), size=lengths(200), start=st.integers(0, 63))
def test_the_arena_is_as_large_as_it_says(kernels: str, program: Program, size: int, start: int) -> None:
    """Any alignment will do; one byte less is refused; nothing outside is touched."""
    x = program.check_input(inputs(program, 7, [size])[0])
    frames = x.shape[1]
    needed = NativeExecutable(program).memory_bytes(frames)
    memory = np.full(GUARD + start + needed + GUARD, 0xA5, np.uint8)
    arena = memory[GUARD + start : GUARD + start + needed]
    assert call(program, x, arena, needed - 1, frames)[0] == ZQ_SMALL_ARENA
    status, outputs = call(program, x, arena, needed, frames)
    assert status == ZQ_OK
    assert (memory[: GUARD + start] == 0xA5).all() and (memory[GUARD + start + needed :] == 0xA5).all()
    assert_same(outputs, compile_program(program, "reference").run([x])[0])


@settings(max_examples=20)
@given(program=programs())
def test_other_lengths_are_refused(program: Program) -> None:
    x = program.check_input(inputs(program, 7, [1])[0])
    arena = np.zeros(1 << 20, np.uint8)
    for frames in (program.shortest_input - 1, 0, -1, -(1 << 31), (1 << 20) + 1, (1 << 31) - 1):
        assert call(program, x, arena, arena.size, frames)[0] == ZQ_BAD_LENGTH


@settings(max_examples=10)
@given(program=programs(), size=lengths(100))
def test_a_profile_names_every_step(kernels: str, program: Program, size: int) -> None:
    """In order, with whole nanoseconds; the steps really run, by the given clock."""
    ticks = iter(range(10**6))
    x = inputs(program, 7, [size])[0]
    times = NativeExecutable(program).profile(x, lambda: next(ticks))
    assert times == [(step.y, step.name, 1) for step in program.steps]
    assert all(spent >= 0 for _, _, spent in NativeExecutable(program).profile(x))
