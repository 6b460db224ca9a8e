"""Runs a program step by step with the reference ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from int_kernels._door import require_threads
from int_kernels.program import Program
from int_kernels.reference.argmax import argmax
from int_kernels.reference.conv1d import conv1d
from int_kernels.reference.sum import sum_branches
from int_kernels.steps import Conv1d, Step, Sum


class ReferenceExecutable:
    """The law, as a program that runs."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def run(self, inputs: Sequence[NDArray[Any]], threads: int = 1) -> list[tuple[NDArray[Any], ...]]:
        """One tuple of outputs [C, T'] per utterance [C, T]; `threads` changes nothing here."""
        require_threads(threads)
        program = self.program
        checked = [program.check_input(x, f"utterance {i}") for i, x in enumerate(inputs)]
        return [self._run_one(x) for x in checked]

    def _run_one(self, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        values = {self.program.input: x}
        for step in self.program.steps:
            values[step.y] = self._run_step(step, values)
        return tuple(values[name] for name in self.program.outputs)

    def _run_step(self, step: Step, values: dict[str, NDArray[Any]]) -> NDArray[Any]:
        y_type = self.program.spec(step.y).type
        if isinstance(step, Conv1d):
            return conv1d(step, values[step.x], y_type)
        if isinstance(step, Sum):
            return sum_branches(step, [values[x] for x in step.xs], y_type)
        return argmax(values[step.x])
