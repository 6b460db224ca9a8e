"""The closed table of operations: what each reads, which attributes it has, and in which dialect it may stand.

Time length of a convolution's output, both dialects (T the input's length):

    T_out = (T + 2 * padding - dilation * (K - 1) - 1) // stride + 1

`bits` is the number of bits that the weights need and are stored with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from zeroq_asr.ir.types import Dialect

_CONV_GEOMETRY = {"stride": int, "dilation": int, "padding": int, "groups": int}
_MAP_GEOMETRY = {"height": int, "stride_h": int, "stride_t": int, "padding_h": int, "padding_t": int, "groups": int}
_CLIP = {"lo": int, "hi": int}


@dataclass(frozen=True)
class OpSpec:
    """How a node of one operation must look.

    `operands` values come first, then one constant for each name in `constants`; `optional` constants may be left out
    from the right. `operands` None means one or more values.
    """

    dialect: Dialect
    operands: int | None
    constants: tuple[str, ...]
    optional: int
    attrs: Mapping[str, type]
    meaning: str


OPS: Mapping[tuple[Dialect, str], OpSpec] = {
    ("float", "conv1d"): OpSpec(
        "float",
        1,
        ("weight", "bias"),
        1,
        {**_CONV_GEOMETRY, "masked": int},
        "convolution; zero outside [0, length) if masked",
    ),
    ("float", "batch_norm"): OpSpec(
        "float", 1, ("mean", "var", "gamma", "beta"), 0, {"eps": float}, "(x - mean) / sqrt(var + eps) * gamma + beta"
    ),
    ("float", "relu"): OpSpec("float", 1, (), 0, {}, "max(x, 0)"),
    ("float", "add"): OpSpec("float", None, (), 0, {}, "x_1 + ... + x_n"),
    ("float", "conv2d"): OpSpec(
        "float",
        1,
        ("weight", "bias"),
        1,
        {**_MAP_GEOMETRY, "masked": int},
        "convolution over rows and time of feature maps [C * height, T], row c * height + h; weight [O, C / groups, "
        "KH, KT]; zero outside [0, length) if masked",
    ),
    ("float", "layer_norm"): OpSpec(
        "float",
        1,
        ("gamma", "beta"),
        2,
        {"eps": float},
        "(x - mean over channels) / sqrt(variance over channels + eps) [* gamma + beta]",
    ),
    ("float", "sigmoid"): OpSpec("float", 1, (), 0, {}, "1 / (1 + exp(-x))"),
    ("float", "tanh"): OpSpec("float", 1, (), 0, {}, "tanh(x)"),
    ("float", "swish"): OpSpec("float", 1, (), 0, {}, "x * sigmoid(x)"),
    ("float", "gelu"): OpSpec("float", 1, (), 0, {}, "x * Phi(x), Phi the normal distribution function"),
    ("float", "glu"): OpSpec("float", 2, (), 0, {}, "x_1 * sigmoid(x_2)"),
    ("float", "multiply"): OpSpec(
        "float", 2, (), 0, {}, "x_1 * x_2; x_2 may have length 1 and holds for all frames then"
    ),
    ("float", "scale"): OpSpec("float", 1, (), 0, {"factor": float}, "factor * x"),
    ("float", "add_bias"): OpSpec("float", 1, ("bias",), 0, {}, "x + bias, one number per channel"),
    ("float", "mean"): OpSpec("float", 1, (), 0, {}, "mean over the frames within the row's length; length 1"),
    ("float", "positions"): OpSpec(
        "float",
        1,
        (),
        0,
        {"max_frames": int},
        "[D, 2T - 1]: channels 2d and 2d + 1 are sin and cos of p / 10000^(2d/D) for p = T - 1 .. -(T - 1); reads only "
        "the length of x",
    ),
    ("float", "attention"): OpSpec(
        "float",
        5,
        (),
        0,
        {"heads": int},
        "of (qu, qv, k, v, p), p [D, 2T - 1]: softmax over j of (qu_i . k_j + qv_i . p_(T-1-i+j)) / sqrt(D / heads), "
        "times v_j, per head; only frames within the row's length count",
    ),
    ("integer", "conv1d"): OpSpec(
        "integer",
        1,
        ("weight", "bias", "multiplier", "shift"),
        0,
        {**_CONV_GEOMETRY, **_CLIP, "bits": int},
        "clip((acc * m + 2^(r-1)) >> r, lo, hi), acc the int32 convolution plus bias",
    ),
    ("integer", "accumulate"): OpSpec(
        "integer",
        1,
        ("weight", "bias"),
        0,
        {**_CONV_GEOMETRY, "bits": int},
        "the int32 accumulator of a convolution plus bias, kept as it is",
    ),
    ("integer", "sum"): OpSpec(
        "integer",
        None,
        ("multipliers", "shift"),
        0,
        _CLIP,
        "clip((sum_i x_i * m_i + 2^(r-1)) >> r, lo, hi): one rounding for all branches",
    ),
    ("integer", "conv2d"): OpSpec(
        "integer",
        1,
        ("weight", "bias", "multiplier", "shift"),
        0,
        {**_MAP_GEOMETRY, **_CLIP, "bits": int},
        "conv1d's arithmetic over rows and time",
    ),
    ("integer", "rescale"): OpSpec(
        "integer",
        1,
        ("multipliers", "shift", "offset"),
        0,
        _CLIP,
        "clip((x * m + offset + 2^(r-1)) >> r, lo, hi), offset int64 per channel",
    ),
    ("integer", "multiply"): OpSpec("integer", 2, (), 0, {}, "x_1 * x_2 in int32; x_2 may have length 1"),
    ("integer", "mean"): OpSpec(
        "integer", 1, ("multiplier", "shift"), 0, _CLIP, "mean over time, times m / 2^r, rounded once; length 1"
    ),
    ("integer", "lookup"): OpSpec("integer", 1, ("table",), 0, {}, "table[x - lo of x's type]"),
    ("integer", "activation"): OpSpec(
        "integer",
        None,
        ("multiplier", "shift"),
        0,
        {"kind": str, "out_multiplier": int, "out_shift": int, "offset": int, **_CLIP},
        "sigmoid, tanh, swish, gelu or glu (two operands) by second-order polynomials in fixed point; multiplier and "
        "shift [n, C] bring each operand to 10 fraction bits",
    ),
    ("integer", "layer_norm"): OpSpec(
        "integer",
        1,
        ("multipliers", "shift", "offset"),
        0,
        {"epsilon": int, **_CLIP},
        "z: normalised over channels with an exact integer square root; clip((z * m + offset + 2^(r-1)) >> r, lo, hi)",
    ),
    ("integer", "positions"): OpSpec(
        "integer", 1, ("fine", "coarse"), 0, {}, "sinusoids of the relative positions T - 1 .. -(T - 1), in 1/127"
    ),
    ("integer", "attention"): OpSpec(
        "integer",
        5,
        ("content", "position", "multiplier", "shift"),
        0,
        {"heads": int, "score_shift": int, **_CLIP},
        "relative attention of (qu, qv, k, v, p); normalised after the weighted sum",
    ),
    ("integer", "argmax"): OpSpec("integer", 1, (), 0, {}, "index of the largest channel, the lowest index on ties"),
}


def output_length(frames: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """Return T_out of a convolution for `frames` input frames; 0 or less means that the input is too short."""
    return (frames + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
