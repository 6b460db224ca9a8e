"""The top rung of the ladder: every op in exact rational arithmetic, one number at a time, from SPEC.md alone.

Nothing of int_kernels' arithmetic is used here; only the descriptions of programs are. The ops of attention models are
in `oracle_attention`, beside this file.
"""

from __future__ import annotations

from fractions import Fraction
from math import floor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels import (
    Activation,
    Argmax,
    Attention,
    Conv1d,
    Conv2d,
    Dyadic,
    LayerNorm,
    Lookup,
    Mean,
    Multiply,
    Positions,
    Program,
    Step,
    Sum,
)
from support.oracle_attention import activate_exactly, attend_exactly, normalise_exactly, positions_exactly

Rows = list[list[int]]


def run_exactly(program: Program, x: NDArray[Any]) -> tuple[NDArray[np.int64], ...]:
    """The outputs of `program` for codes [C, T], as int64."""
    values: dict[str, Rows] = {program.input: [[int(code) for code in row] for row in x]}
    for step in program.steps:
        y_type = program.spec(step.y).type
        first_lo = program.spec(step.inputs[0]).type.lo
        values[step.y] = run_step(step, [values[name] for name in step.inputs], (y_type.lo, y_type.hi), first_lo)
    return tuple(np.array(values[name], dtype=np.int64) for name in program.outputs)


def run_step(step: Step, xs: list[Rows], type_range: tuple[int, int], first_lo: int) -> Rows:
    if isinstance(step, Argmax):
        return [[row.index(max(row)) for row in columns(xs[0])]]
    if isinstance(step, Lookup):
        return [[int(step.table[code - first_lo]) for code in row] for row in xs[0]]
    if isinstance(step, Multiply):
        a, b = xs
        return [[p * q[t if len(q) > 1 else 0] for t, p in enumerate(row)] for row, q in zip(a, b, strict=True)]
    if isinstance(step, Positions):
        return positions_exactly(step, len(xs[0][0]))
    assert isinstance(step, Sum | Mean | LayerNorm | Activation | Attention | Conv1d | Conv2d)
    clip = step.clip or type_range
    channels = range(len(xs[0]))
    if isinstance(step, Sum):
        return [[sum_exactly(step, [x[c][t] for x in xs], c, clip) for t in range(len(xs[0][c]))] for c in channels]
    if isinstance(step, Mean):
        return [
            [round_half_up(Fraction(sum(xs[0][c]), len(xs[0][c])) * ratio(step.rescale, c), clip)] for c in channels
        ]
    if isinstance(step, LayerNorm):
        return columns([normalise_exactly(step, frame, clip) for frame in columns(xs[0])])
    if isinstance(step, Activation):
        return [
            [activate_exactly(step, [x[c][t] for x in xs], c, clip) for t in range(len(xs[0][c]))] for c in channels
        ]
    if isinstance(step, Attention):
        return attend_exactly(step, xs, clip)
    if isinstance(step, Conv2d):
        rows = [convolve_maps(step, xs[0], o, h) for o in range(step.maps_out) for h in range(step.height_out)]
    else:
        rows = [convolve(step, xs[0], o) for o in range(step.channels_out)]
    if step.rescale is None:
        return rows
    height = step.height_out if isinstance(step, Conv2d) else 1
    ratios = [ratio(step.rescale, o // height) for o in range(len(rows))]
    return [[round_half_up(acc * factor, clip) for acc in row] for row, factor in zip(rows, ratios, strict=True)]


def columns(rows: Rows) -> Rows:
    return [list(column) for column in zip(*rows, strict=True)]


def ratio(rescale: Dyadic, channel: int) -> Fraction:
    """m / 2^r of a channel."""
    place = channel if rescale.channels > 1 else 0
    return Fraction(int(rescale.multiplier[place]), 1 << int(rescale.shift[place]))


def sum_exactly(step: Sum, xs: list[int], channel: int, clip: tuple[int, int]) -> int:
    unit = 1 << int(step.shift[channel])
    total = Fraction(int(step.bias[channel]), unit) if step.bias is not None else Fraction(0)
    total += sum((x * Fraction(int(step.multipliers[i, channel]), unit) for i, x in enumerate(xs)), Fraction(0))
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


def convolve_maps(step: Conv2d, x: Rows, o: int, h: int) -> list[int]:
    """Row h of feature map o."""
    frames, width = len(x[0]), int(step.weight.shape[1])
    first_map = o // (step.maps_out // step.groups) * width
    result = []
    start = -step.padding[1]
    while start + step.kernel[1] - 1 < frames + step.padding[1]:
        acc = int(step.bias[o])
        for c in range(width):
            for i in range(step.kernel[0]):
                row = h * step.stride[0] + i - step.padding[0]
                for k in range(step.kernel[1]):
                    if 0 <= row < step.height and 0 <= start + k < frames:
                        value = x[(first_map + c) * step.height + row][start + k]
                        acc += int(step.weight[o, c, i, k]) * value
        result.append(acc)
        start += step.stride[1]
    return result


def round_half_up(value: Fraction, clip: tuple[int, int]) -> int:
    """The nearest integer, the greater one of two equally near, then clipped."""
    return min(max(floor(value + Fraction(1, 2)), clip[0]), clip[1])
