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
    ("integer", "argmax"): OpSpec("integer", 1, (), 0, {}, "index of the largest channel, the lowest index on ties"),
}


def output_length(frames: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """Return T_out of a convolution for `frames` input frames; 0 or less means that the input is too short."""
    return (frames + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
