"""Blocks of random programs beyond convolutions in time: feature maps, gates, norms, activations, attention.

Each reads codes [C, L] with L in frames and makes codes with a length in frames again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray

from int_kernels import (
    ACTIVATIONS,
    INT8,
    INT16,
    INT32,
    Activation,
    Attention,
    Conv2d,
    Dyadic,
    IntType,
    LayerNorm,
    Lookup,
    Mean,
    Multiply,
    Positions,
    ValueSpec,
)
from support.random_maker import CODE_TYPES, Maker, bits, codes

TABLE_FRAMES = 64 * 64  # that the tables of positions serve


def feature_maps(maker: Maker, x: ValueSpec) -> ValueSpec:
    """A conv2d, dense, grouped or depthwise, raw or rescaled."""
    draw = maker.draw
    height = draw(st.sampled_from([h for h in range(1, x.channels + 1) if x.channels % h == 0]))
    maps = x.channels // height
    groups = draw(st.sampled_from([1, maps, *[g for g in range(1, maps + 1) if maps % g == 0]]))
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    least = max(0, -(-(kernel[0] - height) // 2))  # rows of padding, so that the kernel fits
    padding = draw(st.integers(least, least + 2)), draw(st.integers(0, 3))
    stride = draw(st.integers(1, 3)), draw(st.sampled_from([1, 1, 2, 3]))
    height_out = (height + 2 * padding[0] - kernel[0]) // stride[0] + 1
    out = groups * draw(st.integers(1, max(1, maker.most_channels // groups // height_out)))
    weight = codes(maker.random, (out, maps // groups, *kernel), IntType(draw(st.integers(2, 8))))
    bias = maker.random.integers(-4000, 4000, out)
    spread = 1 + x.type.hi * 40
    is_raw = draw(st.booleans())
    y_type = INT32 if is_raw else draw(st.sampled_from([*CODE_TYPES, INT32]))
    y = maker.value(out * height_out, y_type)
    maker.spread[y.name] = spread
    rest: dict[str, Any] = {}
    if not is_raw:
        rest = {"rescale": maker.rescale(spread, y_type, out), "clip": maker.clip(y_type)}
    maker.steps.append(Conv2d(x.name, y.name, weight, bias, height, stride, padding, groups, **rest))
    return maker.code(y)


def activation(maker: Maker, x: ValueSpec) -> ValueSpec:
    """Any activation of codes, an int16 stream or accumulators."""
    kind = maker.draw(st.sampled_from(sorted(ACTIVATIONS)))
    operands = [operand(maker, x)]
    if ACTIVATIONS[kind] == 2:
        operands.append(operand(maker, x, operands[0].channels))
    return maker.code(activate(maker, kind, operands, maker.narrow_type()))


def operand(maker: Maker, x: ValueSpec, channels: int = 0) -> ValueSpec:
    """x, a stream or an accumulator, of `channels` (0 for any number)."""
    out = channels or maker.draw(st.integers(1, maker.most_channels))
    style = maker.draw(st.sampled_from(["raw", "stream", "code"]))
    if style == "raw":
        return maker.pointwise(x, out, INT32, is_raw=True)
    code = x if x.channels == out else maker.pointwise(x, out, maker.draw(st.sampled_from(CODE_TYPES)))
    return code if style == "code" else maker.sum([code], INT16)


def activate(maker: Maker, kind: str, operands: list[ValueSpec], y_type: IntType) -> ValueSpec:
    """u of some units (1024 each), the result spread over y's range, with or without an offset."""
    channels = operands[0].channels
    y = maker.value(channels, y_type)
    units = maker.draw(st.sampled_from([1 << 9, 1 << 12, 1 << 15, 1 << 18]))
    rescales = tuple(
        maker.rescale(max(1, maker.spread.get(x.name, x.type.hi)), IntType(32), channels)
        if maker.draw(st.integers(0, 9)) == 0
        else ratio_to(maker, maker.spread.get(x.name, x.type.hi), units, channels)
        for x in operands
    )
    largest = 1 << 15 if kind in ("sigmoid", "tanh") else min(units, 1 << 16) << 14
    shift = int(np.clip(31 + bits(largest) - bits(y_type.hi) + maker.random.integers(-2, 2), 1, 62))
    offset = maker.draw(st.sampled_from([0, 0, y_type.hi // 3, -65536, 65536]))
    multiplier = int(maker.random.integers(1 << 30, 1 << 31))
    names = tuple(x.name for x in operands)
    clip = maker.clip(y_type)
    maker.steps.append(Activation(kind, names, y.name, rescales, multiplier, shift, offset, clip))
    return y


def ratio_to(maker: Maker, spread: int, largest: int, channels: int) -> Dyadic:
    """Numbers of magnitude `spread` become ones of magnitude `largest`, more or less."""
    count = maker.draw(st.sampled_from([1, channels]))
    shift = 31 + bits(spread) - bits(largest) + maker.random.integers(-1, 2, count)
    return Dyadic(maker.random.integers(1 << 30, 1 << 31, count), np.clip(shift, 1, 62))


def table(maker: Maker, x: ValueSpec) -> ValueSpec:
    """A lookup in a table of anything."""
    y = maker.value(x.channels, maker.narrow_type())
    maker.steps.append(Lookup(x.name, y.name, codes(maker.random, (1 << x.type.bits,), y.type)))
    return maker.code(y)


def gate(maker: Maker, x: ValueSpec) -> ValueSpec:
    """Squeeze and excite: x times a function of its mean over time, one number per channel."""
    mean = maker.value(x.channels, maker.narrow_type())
    ratio = ratio_to(maker, x.type.hi, mean.type.hi, x.channels)
    ratio = Dyadic(ratio.multiplier, np.minimum(ratio.shift, 40))
    maker.steps.append(Mean(x.name, mean.name, ratio, maker.clip(mean.type)))
    squeezed = maker.pointwise(maker.code(mean), maker.draw(st.integers(1, 3)), maker.draw(st.sampled_from(CODE_TYPES)))
    excited = maker.pointwise(squeezed, x.channels, INT32, is_raw=True)
    return maker.sum([product(maker, x, activate(maker, "sigmoid", [excited], maker.narrow_type()))], INT8)


def scaled(maker: Maker, x: ValueSpec) -> ValueSpec:
    """x times x, or times a stream of its own length, beside x itself."""
    other = maker.draw(st.sampled_from([x, None])) or maker.sum([x], INT16)
    return maker.sum([product(maker, x, other), x], maker.draw(st.sampled_from(CODE_TYPES)))


def product(maker: Maker, a: ValueSpec, b: ValueSpec) -> ValueSpec:
    y = maker.value(a.channels, INT32)
    maker.spread[y.name] = 1 + a.type.hi * b.type.hi // 3
    maker.steps.append(Multiply((a.name, b.name), y.name))
    return y


def norm(maker: Maker, x: ValueSpec) -> ValueSpec:
    """A layer norm of codes or of an int16 stream."""
    stream = maker.draw(st.sampled_from([x, None])) or maker.sum([x], INT16)
    y = maker.value(stream.channels, maker.narrow_type())
    epsilon = 1 << maker.draw(st.sampled_from([0, 10, 30, 60]))
    width = maker.draw(st.sampled_from([2, 16, 31]))
    multipliers = maker.random.integers(-(1 << width), 1 << width, y.channels)
    shift = np.clip(width + 15 - bits(y.type.hi) + maker.random.integers(-1, 2, y.channels), 1, 62)
    bias = maker.random.integers(-(1 << 14), 1 << 14, y.channels) << width
    maker.steps.append(LayerNorm(stream.name, y.name, epsilon, multipliers, bias, shift, maker.clip(y.type)))
    return maker.code(y)


def attention(maker: Maker, x: ValueSpec) -> ValueSpec:
    """Query (twice, with biases), key, value, positions, and what they attend to; now and then two layers."""
    draw, types = maker.draw, st.sampled_from(CODE_TYPES)
    heads, depth = draw(st.integers(1, 3)), draw(st.integers(1, max(1, maker.most_channels // 3)))
    width = 2 * heads * depth
    sinusoids = positions(maker, x, width)
    for _ in range(draw(st.integers(1, 2))):
        query = maker.pointwise(x, width, INT32, is_raw=True)
        qu, qv = maker.sum([query], draw(types)), maker.sum([query], draw(types))
        key, value = (maker.pointwise(x, width, draw(types)) for _ in range(2))
        p = maker.pointwise(sinusoids, width, draw(types))
        x = attend(maker, [qu, qv, key, value, p], heads)
    return maker.code(x)


def attend(maker: Maker, operands: list[ValueSpec], heads: int) -> ValueSpec:
    """Scores of some octaves, one of the heads now and then deaf."""
    qu, qv, key, value, p = operands
    y = maker.value(value.channels, maker.narrow_type())
    depth = value.channels // heads
    spread = 1 + max(qu.type.hi * key.type.hi, qv.type.hi * p.type.hi) * (1 + depth) // 4
    width = maker.draw(st.sampled_from([8, 20, 31]))
    content, position = maker.random.integers(0, 1 << width, (2, heads))
    shift = int(np.clip(width + bits(spread) - 17 - maker.random.integers(0, 4), 1, 62))
    rescale = ratio_to(maker, value.type.hi << 15, y.type.hi, y.channels)
    clip = maker.clip(y.type)
    maker.steps.append(
        Attention(
            qu.name, qv.name, key.name, value.name, p.name, y.name, heads, content, position, shift, rescale, clip
        )
    )
    if not y.type.is_code:
        return maker.sum([y], INT8)
    return y


def positions(maker: Maker, x: ValueSpec, width: int) -> ValueSpec:
    """Sinusoids, or tables of anything."""
    y = maker.value(width, INT8)
    if maker.draw(st.booleans()):
        fine, coarse = sinusoid_tables(width, TABLE_FRAMES)
    else:
        fine, coarse = (maker.random.integers(-16384, 16385, (2, width // 2, 64)) for _ in range(2))
    maker.steps.append(Positions(x.name, y.name, fine, coarse))
    return y


def sinusoid_tables(width: int, most_frames: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """fine [2, D/2, 64] and coarse [2, D/2, N]: sine and cosine of k w_d and 64 i w_d in 1/16384.

    w_d = 10000^(-2d/D); N as many as `most_frames` need.
    """
    rates = 10000.0 ** (-2.0 * np.arange(width // 2) / width)
    tables = []
    for steps in (np.arange(64), 64 * np.arange(-(-most_frames // 64))):
        angles = rates[:, None] * steps
        tables.append(np.rint(16384 * np.stack([np.sin(angles), np.cos(angles)])).astype(np.int64))
    return tables[0], tables[1]


BLOCKS: list[Callable[[Maker, ValueSpec], ValueSpec]] = [
    feature_maps,
    activation,
    table,
    gate,
    scaled,
    norm,
    attention,
]
