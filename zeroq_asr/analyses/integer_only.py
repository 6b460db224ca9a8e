"""What is left of real numbers in a program."""

from __future__ import annotations

from int_kernels import Program
from zeroq_asr.artifact.program_fields import step_fields


def count_tensors(program: Program) -> int:
    """Return how many values and constants a program has."""
    return len(program.values) + sum(len(step_fields(step)[1]) for step in program.steps)


def find_floats(program: Program) -> tuple[str, ...]:
    """Return the names of all constants that are not integers. Empty for every program that a file may hold.

    Values have an `IntType` by construction.
    """
    constants = (item for step in program.steps for item in step_fields(step)[1].items())
    return tuple(name for name, array in constants if array.dtype.kind not in "iu")
