"""A tiny QuartzNet with all its shapes of trouble: stride, dilation, separable units, a residual branch, a head with
bias."""

from __future__ import annotations

from typing import Any

import numpy as np

from zeroq_asr.ir import Graph
from zeroq_asr.ops import GraphBuilder

N_MELS = 6
VOCABULARY = tuple("abc")


def toy_graph(seed: int = 0, width: int = 8) -> Graph:
    """Return a float graph mel [6] -> logits [4] with random weights and plausible BatchNorm statistics."""
    rng = np.random.default_rng(seed)
    b = GraphBuilder()

    def conv(
        x: str, name: str, c_in: int, c_out: int, kernel: int, groups: int = 1, stride: int = 1, dilation: int = 1
    ) -> str:
        fan_in = c_in // groups * kernel
        weight = rng.normal(0, fan_in**-0.5, (c_out, c_in // groups, kernel)).astype(np.float32)
        b.constant(f"{name}.weight", weight)
        padding = dilation * (kernel - 1) // 2
        attrs: dict[str, Any] = {
            "stride": stride,
            "dilation": dilation,
            "padding": padding,
            "groups": groups,
            "masked": 1,
        }
        return b.node("conv1d", (x, f"{name}.weight"), name, c_out, **attrs)

    def norm(x: str, name: str, channels: int) -> str:
        spread = {"mean": rng.normal(0, 0.3, channels), "var": rng.uniform(0.2, 1.5, channels)}
        affine = {"gamma": rng.uniform(0.5, 1.5, channels), "beta": rng.normal(0.2, 0.4, channels)}
        names = [b.constant(f"{name}.{role}", array.astype(np.float32)) for role, array in (spread | affine).items()]
        return b.node("batch_norm", (x, *names), name, channels, eps=1e-3)

    def separable(x: str, name: str, c_in: int, c_out: int, kernel: int, **geometry: int) -> str:
        depthwise = conv(x, f"{name}.dw", c_in, c_in, kernel, groups=c_in, **geometry)
        return norm(conv(depthwise, f"{name}.pw", c_in, c_out, 1), f"{name}.bn", c_out)

    def relu(x: str, name: str, channels: int) -> str:
        return b.node("relu", (x,), name, channels)

    x = b.input("mel", N_MELS)
    x = relu(separable(x, "c1", N_MELS, width, 5, stride=2), "c1.relu", width)
    y = relu(separable(x, "b1.0", width, width, 7), "b1.0.relu", width)
    y = separable(y, "b1.1", width, width, 7)
    branch = norm(conv(x, "b1.res", width, width, 1), "b1.res.bn", width)
    x = relu(b.node("add", (y, branch), "b1.add", width), "b1.relu", width)
    x = relu(separable(x, "c2", width, width, 5, dilation=2), "c2.relu", width)
    head = rng.normal(0, 0.5, (len(VOCABULARY) + 1, width, 1)).astype(np.float32)
    b.constant("head.weight", head)
    b.constant("head.bias", rng.normal(0, 0.1, len(VOCABULARY) + 1).astype(np.float32))
    geometry: dict[str, Any] = {"stride": 1, "dilation": 1, "padding": 0, "groups": 1, "masked": 1}
    return b.build((b.node("conv1d", (x, "head.weight", "head.bias"), "logits", len(VOCABULARY) + 1, **geometry),))


def toy_mel(seed: int, batch: int, frames: int) -> np.ndarray:
    """Return standard normal spectrograms, float32 [batch, 6, frames]."""
    return np.random.default_rng(seed).normal(0, 1, (batch, N_MELS, frames)).astype(np.float32)
