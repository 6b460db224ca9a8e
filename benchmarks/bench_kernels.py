"""Speed of the native kernels; not part of the tests: `python -m pytest benchmarks/bench_kernels.py`.

Each line's extra_info holds GMAC per second at the fastest round.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from int_kernels import INT32, UINT8, Conv1d, Dyadic, Program, Step, Sum, ValueSpec, compile_program

RANDOM = np.random.default_rng(0)


def ratios(channels: int) -> Dyadic:
    return Dyadic(RANDOM.integers(1 << 30, 1 << 31, channels), np.full(channels, 41))


def conv(x: str, y: str, shape: tuple[int, int, int], **rest: Any) -> Conv1d:
    weight = RANDOM.integers(-127, 128, shape)
    rescale = rest.pop("rescale", ratios(shape[0]))
    return Conv1d(x, y, weight, np.zeros(shape[0], int), rescale=rescale, **rest)


def single(step: Conv1d) -> Program:
    values = (ValueSpec("x", step.channels_in, UINT8), ValueSpec("y", step.channels_out, UINT8))
    return Program(values, (step,), "x", ("y",))


def quartznet(blocks: int = 5, repeats: int = 5, width: int = 256) -> Program:
    """Residual blocks of separable units, as in QuartzNet, behind a strided first unit."""
    values, steps = [ValueSpec("x", 64, UINT8)], list[Step]()

    def add(step: Step, channels: int, is_raw: bool = False) -> str:
        values.append(ValueSpec(step.y, channels, INT32 if is_raw else UINT8))
        steps.append(step)
        return step.y

    def unit(x: str, name: str, channels: int, kernel: int, stride: int = 1, is_raw: bool = False) -> str:
        inside = next(v.channels for v in values if v.name == x)
        depthwise = conv(x, f"{name}.d", (inside, 1, kernel), stride=stride, padding=kernel // 2, groups=inside)
        rescale = None if is_raw else ratios(channels)
        pointwise = conv(depthwise.y, f"{name}.p", (channels, inside, 1), rescale=rescale)
        return add(pointwise, channels, is_raw) if add(depthwise, inside) else ""

    x = unit("x", "first", width, 33, stride=2)
    for block, kernel in zip(range(blocks), (33, 39, 51, 63, 75), strict=False):
        start = x
        for repeat in range(repeats):
            x = unit(x, f"{block}.{repeat}", width, kernel, is_raw=repeat == repeats - 1)
        side = add(conv(start, f"{block}.side", (width, width, 1), rescale=None), width, is_raw=True)
        joined = Sum((x, side), f"{block}.sum", RANDOM.integers(1 << 15, 1 << 16, (2, width)), np.full(width, 28))
        x = add(joined, width)
    return Program(tuple(values), tuple(steps), "x", (x,))


def multiplications(program: Program, frames: int) -> int:
    convs = [step for step in program.steps if isinstance(step, Conv1d)]
    return sum(step.weight.size * program.lengths[step.y].of(frames) for step in convs)


PROGRAMS = {
    "pointwise 256": (single(conv("x", "y", (256, 256, 1))), 500),
    "pointwise 512": (single(conv("x", "y", (512, 512, 1))), 500),
    "depthwise 256 k51": (single(conv("x", "y", (256, 1, 51), padding=25, groups=256)), 500),
    "depthwise 256 k51 stride 2": (single(conv("x", "y", (256, 1, 51), padding=25, groups=256, stride=2)), 1000),
    "dense 64 to 256 k33": (single(conv("x", "y", (256, 64, 33), padding=16, stride=2)), 1000),
    "quartznet 5x5, 10 s": (quartznet(), 1000),
    "quartznet 5x5, 2 s": (quartznet(), 200),
}


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("name", PROGRAMS)
def test_speed(benchmark: Any, name: str, threads: int) -> None:
    program, frames = PROGRAMS[name]
    executable = compile_program(program)
    x = RANDOM.integers(0, 256, (program.values[0].channels, frames), dtype=np.uint8)
    benchmark.pedantic(executable.run, ([x], threads), rounds=15, warmup_rounds=2)
    benchmark.extra_info["GMAC/s"] = round(multiplications(program, frames) / benchmark.stats.stats.min / 1e9, 1)
