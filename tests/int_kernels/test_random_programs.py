"""Exact arithmetic == reference == native, on programs that nobody wrote by hand."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from support.oracle import run_exactly
from support.random_programs import NARROW, WIDE, assert_same, inputs, lengths, programs

from int_kernels import Program, compile_program

seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=150)
@given(program=programs(most_channels=4, longest_kernel=3, most_blocks=2), seed=seeds, length=lengths(9))
def test_every_backend_equals_exact_arithmetic(backend: str, program: Program, seed: int, length: int) -> None:
    x = inputs(program, seed, [length])[0]
    (outputs,) = compile_program(program, backend).run([x])
    assert_same(outputs, run_exactly(program, x), backend)
    for output, name in zip(outputs, program.outputs, strict=True):
        assert output.dtype == program.spec(name).type.storage
        lowest, highest = program.ranges[name]
        assert (output >= lowest[:, None]).all() and (output <= highest[:, None]).all()


@settings(max_examples=150)
@given(
    program=programs(**NARROW),
    seed=seeds,
    sizes=st.lists(lengths(300), min_size=1, max_size=4),
)
def test_native_equals_reference(kernels: str, program: Program, seed: int, sizes: list[int]) -> None:
    xs = inputs(program, seed, sizes)
    expected = compile_program(program, "reference").run(xs)
    native = compile_program(program, "native")
    for threads in (1, 2):
        batch = native.run(xs, threads=threads)
        single = [native.run([x], threads=threads)[0] for x in xs]
        for i, outputs in enumerate(expected):
            assert_same(batch[i], outputs, f"batch, {threads} threads, utterance {i}")
            assert_same(single[i], outputs, f"single, {threads} threads, utterance {i}")


@settings(max_examples=30)
@given(program=programs(**WIDE), seed=seeds, size=lengths(2000))
def test_native_equals_reference_on_wide_programs(kernels: str, program: Program, seed: int, size: int) -> None:
    xs = inputs(program, seed, [size])
    expected = compile_program(program, "reference").run(xs)[0]
    for threads in (1, 2):
        assert_same(compile_program(program, "native").run(xs, threads)[0], expected, f"{threads} threads")


def test_the_comparison_can_fail() -> None:
    ones = (np.ones((2, 3), np.int32),)
    other = (np.array([[1, 1, 1], [1, 2, 1]], np.int32),)
    try:
        assert_same(ones, other)
    except AssertionError as error:
        assert "first at (np.int64(1), np.int64(1))" in str(error)
    else:
        raise AssertionError("one differing number went unnoticed")
