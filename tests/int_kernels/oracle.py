"""The top rung of the ladder: every op in exact rational arithmetic, one number at a time, from SPEC.md alone.

Nothing of int_kernels' arithmetic is used here; only the descriptions of programs are.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels import Argmax, Conv1d, Program, Step, Sum

Rows = list[list[int]]


def run_exactly(program: Program, x: NDArray[Any]) -> tuple[NDArray[np.int64], ...]:
    """The outputs of `program` for codes [C, T], as int64."""
    values: dict[str, Rows] = {program.input: [[int(code) for code in row] for row in x]}
    for step in program.steps:
        y_type = program.spec(step.y).type
        values[step.y] = run_step(step, [values[name] for name in step.inputs], (y_type.lo, y_type.hi))
    return tuple(np.array(values[name], dtype=np.int64) for name in program.outputs)


def run_step(step: Step, xs: list[Rows], type_range: tuple[int, int]) -> Rows:
    if isinstance(step, Argmax):
        return [[row.index(max(row)) for row in map(list, zip(*xs[0], strict=True))]]
    clip = step.clip or type_range
    if isinstance(step, Sum):
        channels = range(len(xs[0]))
        return [[sum_exactly(step, [x[c][t] for x in xs], c, clip) for t in range(len(xs[0][c]))] for c in channels]
    rows = [convolve(step, xs[0], o) for o in range(step.channels_out)]
    if step.rescale is None:
        return rows
    ratios = step.rescale.per_channel(step.channels_out)
    return [
        [round_half_up(acc * Fraction(int(m), 1 << int(r)), clip) for acc in row]
        for row, m, r in zip(rows, ratios.multiplier, ratios.shift, strict=True)
    ]


def sum_exactly(step: Sum, xs: list[int], channel: int, clip: tuple[int, int]) -> int:
    unit = 1 << int(step.shift[channel])
    total = sum((x * Fraction(int(step.multipliers[i, channel]), unit) for i, x in enumerate(xs)), Fraction(0))
    return round_half_up(total, clip)


def convolve(step: Conv1d, x: Rows, o: int) -> list[int]:
    frames, width = len(x[0]), int(step.weight.shape[1])
    first_channel = o // (step.channels_out // step.groups) * width
    result = []
    start = -step.padding
    while start + step.dilation * (step.kernel - 1) < frames + step.padding:
        acc = int(step.bias[o])
        for c in range(width):
            for k in range(step.kernel):
                time = start + k * step.dilation
                if 0 <= time < frames:
                    acc += int(step.weight[o, c, k]) * x[first_channel + c][time]
        result.append(acc)
        start += step.stride
    return result


def round_half_up(value: Fraction, clip: tuple[int, int]) -> int:
    """The nearest integer, the greater one of two equally near, then clipped."""
    return min(max(floor(value + Fraction(1, 2)), clip[0]), clip[1])
