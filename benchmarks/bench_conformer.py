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
from bench_shapes import RANDOM, Builder, measure_limit, time_steps

from int_kernels import (
    INT8,
    INT16,
    INT32,
    UINT8,
    Activation,
    Attention,
    Conv1d,
    Conv2d,
    Dyadic,
    IntType,
    LayerNorm,
    Positions,
    Program,
    Step,
    Sum,
)
from int_kernels.backends.native.executable import NativeExecutable

FEATURES = 80


def ratio(shift: int) -> Dyadic:
    return Dyadic(np.full(1, 3 << 29), np.full(1, shift))


class Conformer(Builder):
    """Grows the layers of a Conformer."""

    def __init__(self, width: int, heads: int, inside: int, kernel: int) -> None:
        super().__init__(FEATURES)
        self.width, self.heads, self.inside, self.kernel = width, heads, inside, kernel

    def name(self) -> str:
        return f"v{len(self.values)}"

    def maps(self, x: str, weight: tuple[int, int, int, int], height: int) -> str:
        step = Conv2d(
            x,
            self.name(),
            RANDOM.integers(-127, 128, weight),
            np.zeros(weight[0], int),
            height,
            (2, 2),
            (1, 1),
            rescale=ratio(42),
            clip=(0, 255),
        )
        return self.add(step, step.channels_out, UINT8)

    def linear(self, x: str, channels: int, int_type: IntType = INT32) -> str:
        return self.pointwise(x, channels, int_type)

    def sum(self, xs: tuple[str, ...], int_type: IntType, shift: int) -> str:
        n = self.channels[xs[0]]
        step = Sum(xs, self.name(), RANDOM.integers(1 << 14, 1 << 15, (len(xs), n)), np.full(n, shift))
        return self.add(step, n, int_type)

    def norm(self, x: str, int_type: IntType = INT8) -> str:
        n = self.channels[x]
        factors = RANDOM.integers(1 << 24, 1 << 25, n)
        return self.add(LayerNorm(x, self.name(), 1 << 30, factors, factors, np.full(n, 33)), n, int_type)

    def activation(self, kind: str, xs: tuple[str, ...], int_type: IntType) -> str:
        n = self.channels[xs[0]]
        step = Activation(kind, xs, self.name(), tuple(ratio(36) for _ in xs), 3 << 29, 46)
        return self.add(step, n, int_type)

    def feed_forward(self, x: str) -> str:
        inside = self.activation("swish", (self.linear(self.norm(x), self.inside),), UINT8)
        return self.sum((x, self.linear(inside, self.width)), INT16, 16)

    def attention(self, x: str, sinusoids: str) -> str:
        inside, n = self.norm(x), self.width
        query = self.linear(inside, n)
        qu, qv = self.sum((query,), INT8, 24), self.sum((query,), INT8, 24)
        key, value = self.linear(inside, n, INT8), self.linear(inside, n, INT8)
        p, factors = self.linear(sinusoids, n, INT8), np.full(self.heads, 1 << 24)
        step = Attention(qu, qv, key, value, p, self.name(), self.heads, factors, factors, 22, ratio(44))
        return self.sum((x, self.linear(self.add(step, n, INT8), n)), INT16, 16)

    def convolution(self, x: str) -> str:
        inside, n = self.norm(x), self.width
        gated = self.activation("glu", (self.linear(inside, n), self.linear(inside, n)), INT8)
        shape = (n, 1, self.kernel)
        mixed = self.conv(gated, shape, INT32, padding=self.kernel // 2, groups=n)
        return self.sum((x, self.linear(self.activation("swish", (mixed,), UINT8), n)), INT16, 16)

    def layer(self, x: str, sinusoids: str) -> str:
        x = self.attention(self.feed_forward(x), sinusoids)
        return self.norm(self.feed_forward(self.convolution(x)), INT16)


def conformer(layers: int, width: int = 512, heads: int = 8, inside: int = 2048, kernel: int = 31) -> Program:
    b = Conformer(width, heads, inside, kernel)
    x = b.maps("x", (width, 1, 3, 3), FEATURES)
    x = b.maps(x, (width, width, 3, 3), FEATURES // 2)
    x = b.sum((b.linear(x, width),), INT16, 16)
    tables = (RANDOM.integers(-16384, 16385, (2, width // 2, n)) for n in (64, 80))
    sinusoids = b.add(Positions(x, b.name(), *tables), width, INT8)
    for _ in range(layers):
        x = b.layer(x, sinusoids)
    logits = b.linear(b.norm(x), 129)
    return Program(tuple(b.values), tuple(b.steps), "x", (logits,))


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
