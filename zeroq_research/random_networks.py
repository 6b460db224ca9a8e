"""Integer programs of the published shapes with random weights: what is timed, or tried, without a model."""

from __future__ import annotations

from typing import Any

import numpy as np

from int_kernels import (
    INT8,
    INT16,
    INT32,
    UINT8,
    Activation,
    Argmax,
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
    ValueSpec,
)

FEATURES = 80  # of a Conformer
GROUPS = ((33, 256), (39, 256), (51, 512), (63, 512), (75, 512))  # kernel, channels


class Builder:
    """Grows a program of separable units and residual blocks."""

    def __init__(self, channels: int) -> None:
        self.values, self.steps = [ValueSpec("x", channels, INT8)], list[Step]()
        self.channels = {"x": channels}
        self.random = np.random.default_rng(0)

    def add(self, step: Step, channels: int, int_type: IntType) -> str:
        self.values.append(ValueSpec(step.y, channels, int_type))
        self.steps.append(step)
        self.channels[step.y] = channels
        return step.y

    def conv(self, x: str, shape: tuple[int, int, int], int_type: IntType, **rest: Any) -> str:
        weight, channels = self.random.integers(-127, 128, shape), shape[0]
        ratio = Dyadic(self.random.integers(1 << 30, 1 << 31, channels), np.full(channels, 41))
        rescale = None if int_type == INT32 else ratio
        bias = self.random.integers(-999, 999, channels)
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
        multipliers = self.random.integers(1 << 15, 1 << 16, (2, channels))
        step = Sum((x, side), f"v{len(self.values)}", multipliers, np.full(channels, 27), (0, 255))
        return self.add(step, channels, UINT8)


def quartznet_15x5() -> Program:
    """x [64] -> logits [29] and tokens."""
    b = Builder(64)
    x = b.pointwise(b.depthwise("x", 33, stride=2), 256)
    for kernel, channels in GROUPS:
        for _ in range(3):
            x = b.block(x, kernel, channels)
    x = b.pointwise(b.depthwise(x, 87, dilation=2), 512)
    logits = b.pointwise(b.pointwise(x, 1024), 29, INT32)
    tokens = b.add(Argmax(logits, "tokens"), 1, INT32)
    return Program(tuple(b.values), tuple(b.steps), "x", (logits, tokens))


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
            self.random.integers(-127, 128, weight),
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
        step = Sum(xs, self.name(), self.random.integers(1 << 14, 1 << 15, (len(xs), n)), np.full(n, shift))
        return self.add(step, n, int_type)

    def norm(self, x: str, int_type: IntType = INT8) -> str:
        n = self.channels[x]
        factors = self.random.integers(1 << 24, 1 << 25, n)
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
    """Conformer-Large unless told otherwise, of so many layers."""
    b = Conformer(width, heads, inside, kernel)
    x = b.maps("x", (width, 1, 3, 3), FEATURES)
    x = b.maps(x, (width, width, 3, 3), FEATURES // 2)
    x = b.sum((b.linear(x, width),), INT16, 16)
    fine, coarse = (b.random.integers(-16384, 16385, (2, width // 2, n)) for n in (64, 80))
    sinusoids = b.add(Positions(x, b.name(), fine, coarse), width, INT8)
    for _ in range(layers):
        x = b.layer(x, sinusoids)
    logits = b.linear(b.norm(x), 129)
    return Program(tuple(b.values), tuple(b.steps), "x", (logits,))
