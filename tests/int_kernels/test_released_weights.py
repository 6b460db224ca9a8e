"""An executable that uses its program up gives the same bytes and holds the weights once."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.random_programs import assert_same, inputs, lengths, programs
from support.steps import step_of

from int_kernels import INT8, INT32, Conv1d, KernelError, Program, ValueSpec, compile_program
from int_kernels.backends.native.executable import NativeExecutable
from int_kernels.validation import integer_array

WIDTH = 128
HEAD = 1024  # bytes that say so, where weights take less than a byte each


@settings(max_examples=60)
@given(program=programs(most_channels=20, longest_kernel=9), seed=st.integers(0, 99), size=lengths(300))
def test_the_same_bytes(kernels: str, program: Program, seed: int, size: int) -> None:
    xs = inputs(program, seed, [size])
    expected = compile_program(program, "reference").run(xs)[0]
    spent = NativeExecutable(program, release_weights=True)
    for threads in (1, 2):
        assert_same(spent.run(xs, threads)[0], expected, f"{threads} threads")


def two_with_one_weight() -> Program:
    """x -> y -> z, both by the same read-only weights."""
    weight = np.random.default_rng(0).integers(-128, 128, (WIDTH, WIDTH, 1)).astype(np.int8)
    weight.setflags(write=False)
    steps = (Conv1d("x", "y", weight, np.zeros(WIDTH, int)), Conv1d("x", "z", weight, np.ones(WIDTH, int)))
    values = (ValueSpec("x", WIDTH, INT8), ValueSpec("y", WIDTH, INT32), ValueSpec("z", WIDTH, INT32))
    return Program(values, steps, "x", ("y", "z"))


def test_weights_are_let_go_where_the_loops_have_an_order_of_their_own(kernels: str) -> None:
    """Those that are read as they are stay, also beside another step that shares them."""
    program = two_with_one_weight()
    gone = weakref.ref(step_of(program, "y", Conv1d).weight)
    x = np.arange(-WIDTH, WIDTH).reshape(WIDTH, 2)
    expected = compile_program(program, "reference").run([x])[0]
    kept = NativeExecutable(program)
    assert gone() is not None
    del kept
    executable = NativeExecutable(program, release_weights=True)
    gc.collect()
    is_packed = executable.packed_bytes > 0
    assert (gone() is None) == is_packed == (kernels not in ("c", "avx2"))
    assert executable.constant_bytes < 2.5 * WIDTH * WIDTH
    assert_same(executable.run([x])[0], expected)


def packed_bytes(weight: NDArray[np.int64], most: int) -> int:
    """Of one convolution whose weights are limited to -most - 1 .. most; those of its dense form."""
    out, maps, _ = weight.shape
    values = (ValueSpec("x", maps, INT8), ValueSpec("y", out, INT32))
    step = Conv1d("x", "y", np.clip(weight, -most - 1, most), np.zeros(out, int))
    return NativeExecutable(Program(values, (step,), "x", ("y",))).packed_bytes


@pytest.mark.parametrize("shape", [(1040, 640, 1), (64, 64, 5)])
def test_weights_of_four_bits_take_half_the_memory(kernels: str, shape: tuple[int, int, int]) -> None:
    """With the table for AMX, where they come from far; with weights beyond them each takes a byte."""
    weight = np.random.default_rng(1).integers(-128, 128, shape)
    half, more, whole = (packed_bytes(weight, most) for most in (7, 8, 127))
    assert more == whole
    assert whole - half == (weight.size // 2 - HEAD if kernels == "amx" else 0)


def test_a_program_is_used_up_once(kernels: str) -> None:
    program = two_with_one_weight()
    if not NativeExecutable(program, release_weights=True).packed_bytes:
        compile_program(program)
        return
    for backend in ("native", "reference"):
        with pytest.raises(
            KernelError, match=rf"weight \[{WIDTH}, {WIDTH}, 1\]: expected the numbers; an executable has used them"
        ):
            compile_program(program, backend).run([np.zeros((WIDTH, 4), np.int8)])
    step = step_of(program, "y", Conv1d)
    assert step.channels_in == step.channels_out == WIDTH


def test_only_what_nobody_can_write_to_is_not_copied() -> None:
    own = np.arange(6, dtype=np.int32)
    copies = [own, own[:3]]
    frozen = own.copy()
    frozen.setflags(write=False)
    copies += [frozen[::2], frozen.astype(">i4")]  # neither contiguous, nor of this machine's order
    view = own[:]
    view.setflags(write=False)  # `own` can still be written to
    copies.append(view)
    memory = bytearray(own.tobytes())
    unwritable = np.frombuffer(memory, np.int32)
    unwritable.setflags(write=False)
    copies.append(unwritable)
    for array in copies:
        taken = integer_array(array, np.int32, 1, "here")
        assert not np.shares_memory(taken, array) and not taken.flags.writeable and taken.tolist() == array.tolist()
    for array in (frozen, frozen[1:4], np.frombuffer(own.tobytes(), np.int32)):
        assert integer_array(array, np.int32, 1, "here") is array
