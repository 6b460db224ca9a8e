"""Tiny networks with every part of the real families: a Conformer, a squeeze-and-excite network, a dense residual."""

from __future__ import annotations

from typing import Any

import numpy as np

from support.toy import N_MELS, VOCABULARY
from zeroq_asr.ir import Graph
from zeroq_asr.ops import GraphBuilder

ONE: dict[str, Any] = {"stride": 1, "dilation": 1, "padding": 0, "groups": 1, "masked": 0}
WIDTH, HEADS = 8, 2


class ToyBuilder:
    """A GraphBuilder that invents the weights it is not given."""

    def __init__(self, seed: int = 0) -> None:
        self.rng = np.random.default_rng(seed)
        self.graph = GraphBuilder()
        self.mel = self.graph.input("mel", N_MELS)

    def constant(self, name: str, *shape: int, center: float = 0.0, spread: float = 1.0) -> str:
        values = self.rng.normal(center, spread, shape).astype(np.float32)
        return self.graph.constant(name, values)

    def conv(self, x: str, name: str, c_in: int, c_out: int, kernel: int = 1, groups: int = 1, stride: int = 1) -> str:
        weight = self.constant(f"{name}.w", c_out, c_in // groups, kernel, spread=(c_in // groups * kernel) ** -0.5)
        bias = self.constant(f"{name}.b", c_out, spread=0.2)
        attrs = {**ONE, "padding": (kernel - 1) // 2, "groups": groups, "stride": stride, "masked": 1}
        return self.graph.node("conv1d", (x, weight, bias), name, c_out, **attrs)

    def conv2d(self, x: str, name: str, height: int, maps: tuple[int, int], groups: int = 1, stride: int = 2) -> str:
        weight = self.constant(f"{name}.w", maps[1], maps[0] // groups, 3, 3, spread=(maps[0] // groups * 9) ** -0.5)
        bias = self.constant(f"{name}.b", maps[1], spread=0.2)
        attrs: dict[str, Any] = {
            "height": height,
            "stride_h": stride,
            "stride_t": stride,
            "padding_h": 1,
            "padding_t": 1,
        }
        rows = (height - 1) // stride + 1
        return self.graph.node("conv2d", (x, weight, bias), name, maps[1] * rows, **attrs, groups=groups, masked=1)

    def node(self, op: str, name: str, *inputs: str, channels: int = WIDTH, **attrs: Any) -> str:
        return self.graph.node(op, inputs, name, channels, **attrs)

    def norm(self, x: str, name: str) -> str:
        gamma = self.constant(f"{name}.gamma", WIDTH, center=1.0, spread=0.3)
        beta = self.constant(f"{name}.beta", WIDTH, spread=0.3)
        return self.node("layer_norm", name, x, gamma, beta, eps=1e-5)

    def batch_norm(self, x: str, name: str) -> str:
        roles = {"mean": (0.0, 0.3), "var": (1.0, 0.05), "gamma": (1.0, 0.1), "beta": (0.0, 0.3)}
        names = [self.constant(f"{name}.{role}", WIDTH, center=c, spread=s) for role, (c, s) in roles.items()]
        return self.node("batch_norm", name, x, *names, eps=1e-3)

    def head(self, x: str) -> Graph:
        return self.graph.build((self.conv(x, "logits", WIDTH, len(VOCABULARY) + 1),))


def toy_conformer(seed: int = 0, blocks: int = 1) -> Graph:
    """Return a Conformer mel [6] -> logits [4]: two-dimensional subsampling, one block of 8 channels and 2 heads."""
    b = ToyBuilder(seed)
    x = b.conv2d(b.mel, "sub.0", N_MELS, (1, 2))
    x = b.node("relu", "sub.relu", x, channels=6)
    x = b.conv(x, "sub.out", 6, WIDTH)
    x = b.node("scale", "xscale", x, factor=WIDTH**0.5)
    positions = b.node("positions", "positions", x, max_frames=200)
    for block in range(blocks):
        x = _block(b, x, positions, f"{block}.")
    return b.head(x)


def _block(b: ToyBuilder, x: str, positions: str, at: str) -> str:
    x = _feed_forward(b, x, f"{at}ff1")
    x = b.node("add", f"{at}att.add", x, _attention(b, b.norm(x, f"{at}att.norm"), positions, f"{at}att."))
    x = b.node("add", f"{at}conv.add", x, _conv_module(b, b.norm(x, f"{at}conv.norm"), f"{at}conv."))
    x = _feed_forward(b, x, f"{at}ff2")
    return b.norm(x, f"{at}norm")


def _feed_forward(b: ToyBuilder, x: str, at: str) -> str:
    y = b.conv(b.norm(x, f"{at}.norm"), f"{at}.1", WIDTH, 2 * WIDTH)
    y = b.node("swish", f"{at}.swish", y, channels=2 * WIDTH)
    y = b.node("scale", f"{at}.half", b.conv(y, f"{at}.2", 2 * WIDTH, WIDTH), factor=0.5)
    return b.node("add", f"{at}.add", x, y)


def _attention(b: ToyBuilder, x: str, positions: str, at: str) -> str:
    q, k, v = (b.conv(x, f"{at}{name}", WIDTH, WIDTH) for name in "qkv")
    p = b.conv(positions, f"{at}p", WIDTH, WIDTH)
    qu = b.node("add_bias", f"{at}qu", q, b.constant(f"{at}u", WIDTH, spread=0.5))
    qv = b.node("add_bias", f"{at}qv", q, b.constant(f"{at}v.bias", WIDTH, spread=0.5))
    return b.conv(b.node("attention", f"{at}out", qu, qv, k, v, p, heads=HEADS), f"{at}linear", WIDTH, WIDTH)


def _conv_module(b: ToyBuilder, x: str, at: str) -> str:
    factor, gate = (b.conv(x, f"{at}{name}", WIDTH, WIDTH) for name in "ab")
    y = b.conv(b.node("glu", f"{at}glu", factor, gate), f"{at}dw", WIDTH, WIDTH, kernel=5, groups=WIDTH)
    y = b.node("swish", f"{at}swish", b.batch_norm(y, f"{at}bn"))
    return b.conv(y, f"{at}pw", WIDTH, WIDTH)


def toy_citrinet(seed: int = 0) -> Graph:
    """Return a network with squeeze-and-excite in a block with and in a block without residual branch."""
    b = ToyBuilder(seed)
    x = b.node("relu", "0.relu", _excited(b, b.batch_norm(b.conv(b.mel, "0.c", N_MELS, WIDTH, 3), "0.bn"), "0."))
    y = _excited(b, b.batch_norm(b.conv(x, "1.c", WIDTH, WIDTH, 3, stride=2), "1.bn"), "1.")
    residual = b.batch_norm(b.conv(x, "1.r", WIDTH, WIDTH, stride=2), "1.rbn")
    return b.head(b.node("relu", "1.relu", b.node("add", "1.add", y, residual)))


def _excited(b: ToyBuilder, x: str, at: str) -> str:
    squeezed = b.conv(b.node("mean", f"{at}mean", x), f"{at}fc1", WIDTH, 4)
    gate = b.conv(b.node("relu", f"{at}fc.relu", squeezed, channels=4), f"{at}fc2", 4, WIDTH)
    return b.node("multiply", f"{at}se", x, b.node("sigmoid", f"{at}gate", gate))
