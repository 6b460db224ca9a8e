"""What depends on the length alone is computed once, serves shorter utterances, and changes no byte."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray
from support.convolution_extremes import block
from support.random_programs import assert_same

from int_kernels import UINT8, Program, compile_program
from int_kernels.backends.native import executable as native_executable
from int_kernels.backends.native.executable import NativeExecutable
from int_kernels.backends.native.length_cache import find_length_steps
from int_kernels.ops import Conv1d, Positions
from zeroq_research.random_networks import conformer

RANDOM = np.random.default_rng(3)


@pytest.fixture(scope="module")
def program() -> Program:
    return conformer(layers=2, width=24, heads=2, inside=32, kernel=5)


def utterance(frames: int) -> NDArray[np.int8]:
    return RANDOM.integers(-128, 128, (80, frames)).astype(np.int8)


def test_positions_and_their_projections_depend_on_the_length(program: Program) -> None:
    steps = [program.steps[index] for index in find_length_steps(program)]
    assert isinstance(steps[0], Positions)
    assert len(steps) == 3
    assert all(isinstance(step, Conv1d) and step.x == steps[0].y for step in steps[1:])


@pytest.mark.parametrize("sizes", [(600, 37, 599, 8, 256), (8, 37, 256, 600)])
def test_longer_and_shorter_utterances_share_them(kernels: str, program: Program, sizes: tuple[int, ...]) -> None:
    executable, reference = NativeExecutable(program), compile_program(program, "reference")
    for size in sizes:
        x = utterance(size)
        expected = reference.run([x])[0]
        for threads in (1, 2):
            assert_same(executable.run([x], threads)[0], expected, f"{size} frames, {threads} threads")
    xs = [utterance(size) for size in sizes]
    for outputs, expected in zip(executable.run(xs, 2), reference.run(xs), strict=True):
        assert_same(outputs, expected)


def test_they_are_not_computed_again(program: Program) -> None:
    executable = NativeExecutable(program)
    executable.run([utterance(300)])
    known = executable._length_cache
    assert known is not None and known.frames == 512 and known.nbytes > 0
    executable.run([utterance(512), utterance(20)])
    assert executable._length_cache is known
    executable.run([utterance(513)])
    assert executable._length_cache is not known


def test_values_of_much_memory_are_computed_for_each_utterance(
    program: Program, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(native_executable, "MAX_BYTES", 1000)
    executable, x = NativeExecutable(program), utterance(100)
    assert_same(executable.run([x])[0], compile_program(program, "reference").run([x])[0])
    assert executable._length_cache is None


def test_a_program_without_positions_knows_nothing() -> None:
    executable = NativeExecutable(block(8, 2, 33, 1, 16, UINT8, 40))
    executable.run([RANDOM.integers(-128, 128, (8, 40)).astype(np.int8)])
    assert find_length_steps(executable.program) == () and executable._length_cache is None
