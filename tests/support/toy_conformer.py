"""A Conformer of a few channels, written with the operations of float graphs as the adapter writes one."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from zeroq_asr.ir import Graph
from zeroq_asr.ops import GraphBuilder

LINEAR: dict[str, Any] = {"stride": 1, "dilation": 1, "padding": 0, "groups": 1, "masked": 0}
N_MELS = 8


class ConformerBuilder(GraphBuilder):
    """Layers with random weights drawn in the order of the calls."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.rng = np.random.default_rng(seed)

    def numbers(self, name: str, *shape: int, scale: float = 1.0, centre: float = 0.0) -> str:
        return self.constant(name, (centre + scale * self.rng.normal(size=shape)).astype(np.float32))

    def linear(self, x: str, name: str, inputs: int, outputs: int, bias: bool = True) -> str:
        weight = self.numbers(f"{name}.weight", outputs, inputs, 1, scale=inputs**-0.5)
        constants = (weight, self.numbers(f"{name}.bias", outputs, scale=0.1)) if bias else (weight,)
        return self.node("conv1d", (x, *constants), name, outputs, **LINEAR)

    def norm(self, x: str, name: str, width: int) -> str:
        gamma = self.numbers(f"{name}.weight", width, scale=0.2, centre=1.0)
        return self.node(
            "layer_norm", (x, gamma, self.numbers(f"{name}.bias", width, scale=0.1)), name, width, eps=1e-5
        )

    def conv2d(self, x: str, name: str, maps: int, out: int, height: int, groups: int = 1) -> tuple[str, int]:
        """A 3 x 3 convolution of stride 2 and its ReLU; the value and how many rows it has."""
        rows = (height - 1) // 2 + 1
        weight = self.numbers(f"{name}.weight", out, maps // groups, 3, 3, scale=(9 * maps / groups) ** -0.5)
        bias = self.numbers(f"{name}.bias", out, scale=0.1)
        geometry: dict[str, Any] = {
            "height": height,
            "stride_h": 2,
            "stride_t": 2,
            "padding_h": 1,
            "padding_t": 1,
            "groups": groups,
        }
        y = self.node("conv2d", (x, weight, bias), name, out * rows, **geometry, masked=1)
        return self.node("relu", (y,), f"{name}.relu", out * rows), rows

    def feed_forward(self, x: str, name: str, norm: str, width: int) -> str:
        y = self.linear(self.norm(x, norm, width), f"{name}.linear1", width, 4 * width)
        y = self.node("swish", (y,), f"{name}.activation", 4 * width)
        y = self.linear(y, f"{name}.linear2", 4 * width, width)
        y = self.node("scale", (y,), f"{name}.half", width, factor=0.5)
        return self.node("add", (x, y), f"{name}.add", width)

    def attention(self, x: str, p: str, name: str, norm: str, width: int, heads: int) -> str:
        y = self.norm(x, norm, width)
        q, k, v = (self.linear(y, f"{name}.linear_{role}", width, width) for role in "qkv")
        qu, qv = (
            self.node(
                "add_bias", (q, self.numbers(f"{name}.pos_bias_{role}", width, scale=0.3)), f"{name}.q{role}", width
            )
            for role in "uv"
        )
        position = self.linear(p, f"{name}.linear_pos", width, width, bias=False)
        y = self.node("attention", (qu, qv, k, v, position), f"{name}.attention", width, heads=heads)
        y = self.linear(y, f"{name}.linear_out", width, width)
        return self.node("add", (x, y), f"{name}.add", width)

    def convolution(self, x: str, name: str, norm: str, width: int, kernel: int) -> str:
        y = self.norm(x, norm, width)
        a, b = (self.linear(y, f"{name}.pointwise_conv1.{half}", width, width) for half in "ab")
        y = self.node("glu", (a, b), f"{name}.glu", width)
        weight = self.numbers(f"{name}.depthwise_conv.weight", width, 1, kernel, scale=kernel**-0.5)
        bias = self.numbers(f"{name}.depthwise_conv.bias", width, scale=0.1)
        geometry: dict[str, Any] = {"stride": 1, "dilation": 1, "padding": kernel // 2, "groups": width, "masked": 1}
        y = self.node("conv1d", (y, weight, bias), f"{name}.depthwise_conv", width, **geometry)
        mean = self.numbers(f"{name}.batch_norm.running_mean", width, scale=0.1)
        var = self.constant(f"{name}.batch_norm.running_var", self.rng.uniform(0.1, 0.4, width).astype(np.float32))
        gamma = self.numbers(f"{name}.batch_norm.weight", width, scale=0.2, centre=1.0)
        beta = self.numbers(f"{name}.batch_norm.bias", width, scale=0.2)
        y = self.node("batch_norm", (y, mean, var, gamma, beta), f"{name}.batch_norm", width, eps=1e-5)
        y = self.node("swish", (y,), f"{name}.activation", width)
        y = self.linear(y, f"{name}.pointwise_conv2", width, width)
        return self.node("add", (x, y), f"{name}.add", width)


def toy_conformer(
    seed: int = 0,
    *,
    mels: int = N_MELS,
    maps: int = 4,
    width: int = 16,
    heads: int = 2,
    layers: int = 2,
    kernel: int = 7,
    labels: int = 5,
) -> Graph:
    """4x subsampling, scaled input, `layers` blocks, head: "mel" [mels] -> "logits" [labels], T' = ceil(T / 4)."""
    b = ConformerBuilder(seed)
    x, rows = b.conv2d(b.input("mel", mels), "pre_encode.conv.0", 1, maps, mels)
    x, rows = b.conv2d(x, "pre_encode.conv.2", maps, maps, rows)
    x = b.linear(x, "pre_encode.out", maps * rows, width)
    x = b.node("scale", (x,), "pos_enc.xscale", width, factor=math.sqrt(width))
    p = b.node("positions", (x,), "pos_enc", width, max_frames=5000)
    for number in range(layers):
        at = f"layers.{number}"
        x = b.feed_forward(x, f"{at}.feed_forward1", f"{at}.norm_feed_forward1", width)
        x = b.attention(x, p, f"{at}.self_attn", f"{at}.norm_self_att", width, heads)
        x = b.convolution(x, f"{at}.conv", f"{at}.norm_conv", width, kernel)
        x = b.feed_forward(x, f"{at}.feed_forward2", f"{at}.norm_feed_forward2", width)
        x = b.norm(x, f"{at}.norm_out", width)
    return b.build((b.linear(x, "logits", width, labels),))
