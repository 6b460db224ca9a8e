"""The same bytes for every number of threads, every batch and every way to compile."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from support.builds import compile_library, ways_to_build
from support.random_programs import assert_same, inputs, lengths, programs

from int_kernels import Program, available_kernels, compile_program
from int_kernels.backends.native.executable import NativeExecutable

seeds = st.integers(0, 2**32 - 1)


def digest(results: Sequence[tuple[NDArray[Any], ...]]) -> str:
    """SHA-256 over all outputs of all utterances, with their dtypes and shapes."""
    sha = sha256()
    for outputs in results:
        for array in outputs:
            sha.update(f"{array.dtype}{array.shape}".encode() + array.tobytes())
    return sha.hexdigest()


@settings(max_examples=15)
@given(program=programs(most_channels=70, longest_kernel=7), seed=seeds, size=lengths(400))
def test_threads_and_batches_change_no_byte(kernels: str, program: Program, seed: int, size: int) -> None:
    executable = compile_program(program)
    xs = inputs(program, seed, [size, 1, 70, size, 9, 128, 2, 65])
    single = [executable.run([x])[0] for x in xs]
    for batch in range(1, 9):
        expected = digest(single[:batch])
        for threads in (1, 2, 3, 4):
            assert digest(executable.run(xs[:batch], threads)) == expected, f"batch of {batch}, {threads} threads"


@settings(max_examples=8)
@given(program=programs(most_channels=20, longest_kernel=7), seed=seeds)
def test_what_all_workers_share_at_the_end_changes_no_byte(program: Program, seed: int) -> None:
    """Odd ones, a long utterance at either end; results come in the given order. Who runs what: test_threads.py."""
    executable = compile_program(program)
    for sizes in ([70] * 7, [300, 8, 13, 3, 5, 21, 34], [3, 5, 8, 13, 21, 34, 300]):
        xs = inputs(program, seed, sizes)
        single = [executable.run([x])[0] for x in xs]
        for first in range(len(xs)):
            for threads in (2, 3):
                found = executable.run(xs[first:], threads)
                assert digest(found) == digest(single[first:]), f"{sizes[first:]}, {threads} threads"


@settings(max_examples=3)
@given(program=programs(most_channels=70, longest_kernel=7), seed=seeds)
def test_twenty_repeats_are_equal(kernels: str, program: Program, seed: int) -> None:
    executable = compile_program(program)
    xs = inputs(program, seed, [130, 40])
    assert len({digest(executable.run(xs, 1 + repeat % 4)) for repeat in range(20)}) == 1


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("builds")
    return {
        name: compile_library(folder / f"{index}.so", *flags)
        for index, (name, flags) in enumerate(ways_to_build().items())
    }


@pytest.mark.nightly
def test_every_build_gives_the_same_bytes(kernels: str, builds: dict[str, Path]) -> None:
    with_kernels = {name: path for name, path in builds.items() if kernels in available_kernels(path)}
    assert len(with_kernels) >= 2 and "O0" in with_kernels

    @settings(max_examples=40)
    @given(program=programs(most_channels=70, longest_kernel=9), seed=seeds, size=lengths(300))
    def check(program: Program, seed: int, size: int) -> None:
        xs = inputs(program, seed, [size, 3])
        expected = compile_program(program).run(xs)
        for name, library in with_kernels.items():
            for threads in (1, 3):
                for result, outputs in zip(NativeExecutable(program, library).run(xs, threads), expected, strict=True):
                    assert_same(result, outputs, f"{name}, {threads} threads")

    check()


def test_the_digest_sees_a_single_bit() -> None:
    ones = [(np.ones((2, 2), np.int32),)]
    other = [(np.array([[1, 1], [1, 0]], np.int32),)]
    assert digest(ones) != digest(other) != digest([(np.ones((2, 2), np.int8),)])


@settings(max_examples=3)
@given(program=programs(most_channels=40), seed=seeds)
def test_one_executable_serves_many_python_threads(kernels: str, program: Program, seed: int) -> None:
    executable = compile_program(program)
    xs = inputs(program, seed, [60, 7, 130, 1])
    expected = [digest(executable.run([x])) for x in xs]
    with ThreadPoolExecutor(4) as pool:
        for _ in range(5):
            assert [digest(result) for result in pool.map(lambda x: executable.run([x], 2), xs)] == expected
