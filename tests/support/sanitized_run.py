"""Runs random programs on a library built with sanitizers: `python sanitized_run.py LIBRARY EXAMPLES`.

A process of its own, because the sanitizers' runtime must be loaded before Python starts; its PYTHONPATH holds the
repository and `tests`.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from int_kernels import (
    INT8,
    INT32,
    UINT8,
    Conv1d,
    Dyadic,
    Program,
    ValueSpec,
    available_kernels,
    compile_program,
)
from int_kernels.backends.native.executable import NativeExecutable
from support.random_programs import NARROW, assert_same, inputs, lengths, programs


def large_program() -> Program:
    """Dense convolutions with enough rows and taps for the loops that random programs are too small for."""
    random = np.random.default_rng(0)
    types = (("x", 132, INT8), ("y", 28, UINT8), ("z", 14, INT32))
    ratio = Dyadic(np.full(28, 1 << 30), np.full(28, 46))
    pointwise = Conv1d("x", "y", random.integers(-128, 128, (28, 132, 1)), np.arange(28), rescale=ratio)
    long = Conv1d("y", "z", random.integers(-128, 128, (14, 28, 7)), np.arange(14), padding=3)
    return Program(tuple(ValueSpec(*spec) for spec in types), (pointwise, long), "x", ("y", "z"))


def run_alike(program: Program, xs: list[NDArray[np.int64]], library: Path) -> None:
    """Every table of inner loops and number of threads gives what the reference gives."""
    expected = compile_program(program, "reference").run(xs)
    for kernels in available_kernels(library):
        os.environ["ZEROQ_KERNELS"] = kernels
        for threads in (1, 2, 4):
            for outputs, wanted in zip(NativeExecutable(program, library).run(xs, threads), expected, strict=True):
                assert_same(outputs, wanted, f"{kernels}, {threads} threads")


def main(library: Path, examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(program=programs(**NARROW), seed=st.integers(0, 2**32 - 1), size=lengths(300))
    def check(program: Program, seed: int, size: int) -> None:
        run_alike(program, inputs(program, seed, [size, 1, 65]), library)

    run_alike(large_program(), inputs(large_program(), 0, [*range(1, 65, 7), 130]), library)
    check()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write("sound\n")
