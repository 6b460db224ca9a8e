"""Runs random programs on a library built with sanitizers: `python sanitized_run.py LIBRARY EXAMPLES`.

A process of its own, because the sanitizers' runtime must be loaded before Python starts.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))

from random_programs import assert_same, inputs, lengths, programs

from int_kernels import Program, available_kernels, compile_program
from int_kernels.native_executable import NativeExecutable


def main(library: Path, examples: int) -> None:
    @settings(
        max_examples=examples, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
    )
    @given(program=programs(most_channels=12, longest_kernel=9), seed=st.integers(0, 2**32 - 1), size=lengths(300))
    def check(program: Program, seed: int, size: int) -> None:
        xs = inputs(program, seed, [size, 1, 65])
        expected = compile_program(program, "reference").run(xs)
        for kernels in available_kernels(library):
            os.environ["ZEROQ_KERNELS"] = kernels
            for threads in (1, 2, 4):
                for outputs, wanted in zip(NativeExecutable(program, library).run(xs, threads), expected, strict=True):
                    assert_same(outputs, wanted, f"{kernels}, {threads} threads")

    check()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
    sys.stdout.write("sound\n")
