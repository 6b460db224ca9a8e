"""Time of each shape of layer in QuartzNet-15x5 (random weights, 1000 frames, batch 1), beside the processor's limit.

    python benchmarks/bench_shapes.py [--kernels avx512vnni] [--threads 1] [--rounds 30] [--frames 1000]

The limit is measured before each round: the table's own instructions on registers. With one thread all times are CPU
time of the thread, so other programs on the machine disturb little; with more they are times of the clock.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import defaultdict
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels import INT8, INT32, UINT8, Argmax, Conv1d, Dyadic, IntType, Program, Step, Sum, ValueSpec
from int_kernels.backends.native.executable import NativeExecutable
from int_kernels.peak import measure_peak

RANDOM = np.random.default_rng(0)
GROUPS = ((33, 256), (39, 256), (51, 512), (63, 512), (75, 512))  # kernel, channels


class Builder:
    """Grows a program of separable units and residual blocks."""

    def __init__(self, channels: int) -> None:
        self.values, self.steps = [ValueSpec("x", channels, INT8)], list[Step]()
        self.channels = {"x": channels}

    def add(self, step: Step, channels: int, int_type: IntType) -> str:
        self.values.append(ValueSpec(step.y, channels, int_type))
        self.steps.append(step)
        self.channels[step.y] = channels
        return step.y

    def conv(self, x: str, shape: tuple[int, int, int], int_type: IntType, **rest: Any) -> str:
        weight, channels = RANDOM.integers(-127, 128, shape), shape[0]
        ratio = Dyadic(RANDOM.integers(1 << 30, 1 << 31, channels), np.full(channels, 41))
        rescale = None if int_type == INT32 else ratio
        bias = RANDOM.integers(-999, 999, channels)
        step = Conv1d(x, f"v{len(self.values)}", weight, bias, rescale=rescale, **rest)
        return self.add(step, channels, int_type)

    def depthwise(self, x: str, kernel: int, stride: int = 1, dilation: int = 1) -> str:
        n = self.channels[x]
        rest = {"stride": stride, "dilation": dilation, "padding": dilation * (kernel // 2), "groups": n}
        return self.conv(x, (n, 1, kernel), INT8, **rest)

    def pointwise(self, x: str, channels: int, int_type: IntType = UINT8) -> str:
        return self.conv(x, (channels, self.channels[x], 1), int_type)

    def block(self, x: str, kernel: int, channels: int) -> str:
        side = self.pointwise(x, channels, INT32)
        for unit in range(5):
            x = self.pointwise(self.depthwise(x, kernel), channels, INT32 if unit == 4 else UINT8)
        multipliers = RANDOM.integers(1 << 15, 1 << 16, (2, channels))
        step = Sum((x, side), f"v{len(self.values)}", multipliers, np.full(channels, 27), (0, 255))
        return self.add(step, channels, UINT8)


def quartznet_15x5() -> Program:
    b = Builder(64)
    x = b.pointwise(b.depthwise("x", 33, stride=2), 256)
    for kernel, channels in GROUPS:
        for _ in range(3):
            x = b.block(x, kernel, channels)
    x = b.pointwise(b.depthwise(x, 87, dilation=2), 512)
    logits = b.pointwise(b.pointwise(x, 1024), 29, INT32)
    tokens = b.add(Argmax(logits, "tokens"), 1, INT32)
    return Program(tuple(b.values), tuple(b.steps), "x", (logits, tokens))


def describe(step: Step, program: Program) -> str:
    y = program.spec(step.y)
    if not isinstance(step, Conv1d):
        return f"{type(step).__name__.lower()} {y.channels}"
    kind = "depthwise" if step.groups == step.channels_in else "pointwise" if step.kernel == 1 else "dense"
    special = f"{'' if step.stride == 1 else ' stride 2'}{'' if step.dilation == 1 else ' dilation 2'}"
    kernel = f" k{step.kernel}" if step.kernel > 1 else ""
    return f"{kind} {step.channels_in}>{y.channels}{kernel}{special} {y.type}"


def measure_limit(kernels: str) -> float:
    """GMAC/s of the table's own instructions, on registers and nothing else."""
    products, nanoseconds = measure_peak(kernels)
    return products / nanoseconds


def time_steps(executable: NativeExecutable, x: NDArray[Any]) -> list[int]:
    """Nanoseconds of each step, run one after the other on this thread."""
    return [spent for _, _, spent in executable.profile(x, time.thread_time_ns)]


def multiplications(step: Step, program: Program, frames: int) -> int:
    return step.weight.size * program.lengths[step.y].of(frames) if isinstance(step, Conv1d) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernels", default="", help="table of inner loops (default: the best one here)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--frames", type=int, default=1000)
    given = parser.parse_args()
    os.environ["ZEROQ_KERNELS"] = given.kernels
    program = quartznet_15x5()
    executable = NativeExecutable(program)
    x = RANDOM.integers(-128, 128, (64, given.frames)).astype(np.int8)
    clock = time.thread_time_ns if given.threads == 1 else time.perf_counter_ns
    peaks, wholes, steps = [], [], []
    for _ in range(given.rounds):
        peaks.append(measure_limit(executable.kernels))
        start = clock()
        executable.run([x], given.threads)
        wholes.append(clock() - start)
        steps.append(time_steps(executable, x))
    limit = float(np.median(peaks))
    by_shape: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0])
    for step, nanoseconds in zip(program.steps, np.median(steps, axis=0), strict=True):
        row = by_shape[describe(step, program)]
        for i, amount in enumerate((1, nanoseconds, multiplications(step, program, given.frames))):
            row[i] += amount
    print(f"kernels {executable.kernels}; limit of its instructions, one thread: {limit:.0f} GMAC/s (median)")
    print(f"{'layers of a shape, one thread':42}{'count':>6}{'ms':>8}{'GMAC/s':>8}{'% of limit':>11}")
    for name, (count, spent, macs) in by_shape.items():
        speed = f"{macs / spent:8.0f}{100 * macs / spent / limit:11.0f}" if macs else ""
        print(f"{name:42}{count:6.0f}{spent / 1e6:8.2f}{speed}")
    total = sum(multiplications(step, program, given.frames) for step in program.steps)
    share = float(np.median([total / whole / p for whole, p in zip(wholes, peaks, strict=True)])) / given.threads
    print(
        f"whole run, {given.threads} thread(s): median {np.median(wholes) / 1e6:.2f} ms, "
        f"min {min(wholes) / 1e6:.2f} ms, "
        f"{total / 1e9:.2f} GMAC, {100 * share:.1f} % of the limit"
    )


if __name__ == "__main__":
    main()
