"""Runs a program step by step with the reference ops."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from numpy.typing import NDArray

from int_kernels.program import Program
from int_kernels.reference.activation import activation
from int_kernels.reference.argmax import argmax
from int_kernels.reference.attention import attention
from int_kernels.reference.conv1d import conv1d
from int_kernels.reference.conv2d import conv2d
from int_kernels.reference.layer_norm import layer_norm
from int_kernels.reference.lookup import lookup
from int_kernels.reference.mean import mean_over_time
from int_kernels.reference.multiply import multiply
from int_kernels.reference.positions import positions
from int_kernels.reference.sum import sum_branches
from int_kernels.steps import (
    Activation,
    Argmax,
    Attention,
    Conv1d,
    Conv2d,
    LayerNorm,
    Lookup,
    Mean,
    Multiply,
    Positions,
    Step,
    Sum,
)
from int_kernels.validation import require_threads


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
        xs, y_type = [values[name] for name in step.inputs], self.program.spec(step.y).type
        match step:
            case Conv1d():
                return conv1d(step, xs[0], y_type)
            case Conv2d():
                return conv2d(step, xs[0], y_type)
            case Sum():
                return sum_branches(step, xs, y_type)
            case Multiply():
                return multiply(*xs)
            case Mean():
                return mean_over_time(step, xs[0], y_type)
            case Lookup():
                return lookup(step, xs[0], self.program.spec(step.x).type, y_type)
            case Activation():
                return activation(step, xs, y_type)
            case LayerNorm():
                return layer_norm(step, xs[0], y_type)
            case Positions():
                return positions(step, xs[0].shape[1])
            case Attention():
                return attention(step, xs, y_type)
            case Argmax():
                return argmax(xs[0])
