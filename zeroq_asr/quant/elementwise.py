"""Integers of the operations that are not linear: LayerNorm's epsilon, activations' scales, tables of exact values."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.qparams import QuantParams

Reals = npt.NDArray[np.float64]

LAYER_NORM_ONE = 1 << 14
"""z of the integer LayerNorm is in 1/16384."""

_EPSILON_BITS = 12
_EPSILON_LIMIT = 1 << 60


def epsilon_code(eps: float, channels: int, scale: float) -> int:
    """Return E = floor(eps d^2 / S^2 * 2^12 + 1/2), 1 <= E <= 2^60: the eps of a LayerNorm over d codes of scale S."""
    exact = eps * channels**2 / scale**2 * 2.0**_EPSILON_BITS
    return min(max(math.floor(min(exact, float(_EPSILON_LIMIT)) + 0.5), 1), _EPSILON_LIMIT)


def sigmoid(x: Reals) -> Reals:
    """1 / (1 + e^-x), without overflow for any finite x."""
    half: Reals = 0.5 + 0.5 * np.tanh(0.5 * x)
    return half


def gelu(x: Reals) -> Reals:
    """x Phi(x) with the normal distribution function Phi."""
    made: Reals = x * 0.5 * (1.0 + np.vectorize(math.erf, otypes=[float])(x / math.sqrt(2.0)))
    return made


REAL: Mapping[str, Callable[[Reals], Reals]] = {
    "sigmoid": sigmoid,
    "tanh": np.tanh,
    "swish": lambda x: x * sigmoid(x),
    "gelu": gelu,
}
"""The exact functions of one operand."""


def lookup_table(name: str, kind: str, x: QuantParams, y: QuantParams) -> npt.NDArray[np.int16]:
    """Return table[q - lo] = code of kind(S_x (q - o_x)) for every code q of x, int16 [2^b]; at most half a step off.

    Raises QuantizationError where x or y has a scale per channel: one table serves all channels.
    """
    if x.channel_factors is not None or y.channel_factors is not None:
        raise QuantizationError(f"node {name!r}: a table needs one scale for all channels")
    codes = np.arange(x.type.lo, x.type.hi + 1)
    return y.quantize(REAL[kind](x.real(codes))).astype(np.int16)
