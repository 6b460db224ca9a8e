"""Runs a program step by step with the numpy references: slow, short, obvious, and right by definition."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from int_kernels.program import Program
from int_kernels.validation import require_threads


class ReferenceExecutable:
    """Decides what every other backend must return, to the bit."""

    def __init__(self, program: Program) -> None:
        self.program = program

    def run(self, inputs: Sequence[NDArray[Any]], threads: int = 1) -> list[tuple[NDArray[Any], ...]]:
        """One tuple of outputs [C, T'] per utterance [C, T]; `threads` changes nothing here."""
        require_threads(threads)
        program = self.program
        checked = [program.check_input(x, f"utterance {i}") for i, x in enumerate(inputs)]
        return [self._run_one(x) for x in checked]

    def _run_one(self, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        program, values = self.program, {self.program.input: x}
        for step in program.steps:
            types = [program.spec(name).type for name in step.inputs]
            xs = [values[name] for name in step.inputs]
            values[step.y] = step.evaluate(xs, types, program.spec(step.y).type)
        return tuple(values[name] for name in program.outputs)
