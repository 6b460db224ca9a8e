"""Looking into programs: the step that makes a value, the integers of a layer."""

from __future__ import annotations

from typing import TypeVar

from int_kernels import Conv1d, Conv2d, Program, Step
from int_kernels.validation import IntegerArray

S = TypeVar("S", bound=Step)


def step_of(program: Program, name: str, kind: type[S]) -> S:
    """The step that makes the value `name`, which must be of this kind."""
    step = program.step(name)
    assert isinstance(step, kind), step
    return step


def layer_of(program: Program, layer: str) -> Conv1d | Conv2d:
    """The convolution with the weights of `layer`."""
    (found,) = (s for s in program.steps if isinstance(s, Conv1d | Conv2d) and (s.layer or s.y) == layer)
    return found


def layer_integers(program: Program, layer: str) -> tuple[IntegerArray, IntegerArray]:
    """Weight and bias of `layer`."""
    found = layer_of(program, layer)
    return found.weight, found.bias
