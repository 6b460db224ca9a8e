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

from int_kernels import Conv1d, Program, Step
from int_kernels.backends.native.executable import NativeExecutable
from int_kernels.peak import measure_peak
from zeroq_research.random_networks import quartznet_15x5

RANDOM = np.random.default_rng(0)


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
