"""Time of each operation of a Conformer (random weights, one utterance, one thread), beside the processor's limit.

    python benchmarks/bench_conformer.py [--kernels avx512vnni] [--layers 2] [--rounds 10] [--frames 1000]

Conformer-Large unless told otherwise: 512 channels, 8 heads, 2048 inside, kernel 31, four-fold subsampling by two
convolutions of feature maps. Times are CPU time of the thread; lines of layers are per layer.
"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict

import numpy as np
from bench_shapes import measure_limit, time_steps

from int_kernels import Activation, Attention, Conv1d, Conv2d, Positions, Program, Step
from int_kernels.backends.native.executable import NativeExecutable
from zeroq_research.random_networks import FEATURES, conformer

RANDOM = np.random.default_rng(0)


def describe(step: Step, program: Program) -> str:
    y, x = program.spec(step.y), program.spec(step.inputs[0])
    kind = step.kind if isinstance(step, Activation) else type(step).__name__.lower()
    kind = "depthwise" if isinstance(step, Conv1d) and step.groups > 1 else kind
    length = program.lengths[y.name].kind
    return f"{kind} {x.channels}>{y.channels} {y.type}{'' if length == 'frames' else ' ' + length}"


def multiplications(step: Step, program: Program, frames: int) -> int:
    length = program.lengths[step.y].of(frames)
    if isinstance(step, Conv1d):
        return step.weight.size * length
    if isinstance(step, Conv2d):
        return step.weight.size * step.height_out * length
    return 3 * program.spec(step.y).channels * length * length if isinstance(step, Attention) else 0


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--kernels", default="", help="table of inner loops (default: the best one here)")
    parser.add_argument("--layers", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--frames", type=int, default=1000)
    given = parser.parse_args()
    os.environ["ZEROQ_KERNELS"] = given.kernels
    program = conformer(given.layers)
    executable = NativeExecutable(program)
    x = RANDOM.integers(-128, 128, (FEATURES, given.frames)).astype(np.int8)
    peaks, steps = [], []
    for _ in range(given.rounds):
        peaks.append(measure_limit(executable.kernels))
        steps.append(time_steps(executable, x))
    limit = float(np.median(peaks))
    table: dict[str, list[float]] = defaultdict(lambda: [0, 0, 0])
    first = next(i for i, step in enumerate(program.steps) if isinstance(step, Positions)) + 1
    last = len(program.steps) - 2
    for i, (step, nanoseconds) in enumerate(zip(program.steps, np.median(steps, axis=0), strict=True)):
        is_layer = first <= i < last
        row = table[f"{'layer' if is_layer else 'other'}: {describe(step, program)}"]
        for column, amount in enumerate((1, nanoseconds, multiplications(step, program, given.frames))):
            row[column] += amount / (given.layers if is_layer else 1)
    print(f"kernels {executable.kernels}; limit of its instructions, one thread: {limit:.0f} GMAC/s (median)")
    print(f"{'operations of a shape, one thread':46}{'count':>6}{'ms':>8}{'GMAC/s':>8}{'% of limit':>11}")
    for name, (count, spent, macs) in table.items():
        speed = f"{macs / spent:8.0f}{100 * macs / spent / limit:11.0f}" if macs else ""
        print(f"{name:46}{count:6.0f}{spent / 1e6:8.3f}{speed}")
    for part in ("layer", "other"):
        spent, macs = (sum(row[i] for name, row in table.items() if name.startswith(part)) for i in (1, 2))
        print(f"{part}: {spent / 1e6:.2f} ms, {macs / 1e9:.2f} GMAC, {100 * macs / spent / limit:.0f} % of the limit")


if __name__ == "__main__":
    main()
