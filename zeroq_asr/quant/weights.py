"""Weights and biases to integers.

    S_w[c] = max |w[c]| / (2^(b-1) - 1),   q = clip(floor(w / S_w + 1/2), -(2^(b-1) - 1), 2^(b-1) - 1)

The narrow range keeps weights symmetric; the bias becomes int32 at the accumulator's scale S_x * S_w[c].
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from int_kernels.int_type import IntType
from zeroq_asr.errors import QuantizationError
from zeroq_asr.quant.clip_scale import clip_scale
from zeroq_asr.quant.qparams import round_half_up
from zeroq_asr.quant.squant import squant

_BIAS_LIMIT = 2.0**30
"""Largest bias in accumulator units: half of int32 stays free for the products (their exact bound is proved later)."""

_DEAD_FLOOR = 2.0**-24
"""Smallest S_w relative to the layer's largest: a channel of (almost) zero weights must not blow its bias up."""


@dataclass(frozen=True)
class RoundedWeights:
    """codes int8 like the weights, scale float64 [C_out]: weights that somebody has rounded already."""

    codes: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float64]

    @property
    def real(self) -> npt.NDArray[np.float64]:
        """What the codes stand for: scale * codes."""
        along = self.scale.reshape(-1, *(1,) * (self.codes.ndim - 1))
        real: npt.NDArray[np.float64] = along * self.codes
        return real


@dataclass(frozen=True)
class QuantizedConv:
    """weight int8 [C_out, C_in / groups, K] or [O, C / groups, KH, KT], bias int32 [C_out], weight_scale float64
    [C_out]."""

    weight: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    weight_scale: npt.NDArray[np.float64]


def quantize_conv(
    name: str,
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32] | None,
    input_scale: float,
    bits: int,
    per_tensor: bool = False,
    methods: Collection[str] = (),
    rounded: RoundedWeights | None = None,
) -> QuantizedConv:
    """Return the integers of one convolution. Raises QuantizationError (weights or bias not finite).

    methods: "clipping" takes the scales of least squared error (`clip_scale`); "squant" flips roundings until the
    errors of each kernel and output channel cancel (`squant`). Others are none of its business. rounded: taken as they
    are in place of all that, unless the bias does not fit their scale.
    """
    w, b = _finite(name, weight, bias)
    least = np.abs(b) / (input_scale * _BIAS_LIMIT)
    if rounded is not None and (rounded.scale >= least).all():
        codes, scale = rounded.codes, rounded.scale
    else:
        top = IntType(bits, signed=True).hi
        scale = weight_scales(name, weight, bias, input_scale, bits, per_tensor, methods)
        scaled = (w / scale.reshape(-1, *(1,) * (w.ndim - 1))).clip(-top, top)
        codes = (squant(scaled, top) if "squant" in methods else round_half_up(scaled)).astype(np.int8)
    bias_codes = round_half_up(b / (input_scale * scale)).astype(np.int32)
    return QuantizedConv(codes, bias_codes, scale)


def weight_scales(
    name: str,
    weight: npt.NDArray[np.float32],
    bias: npt.NDArray[np.float32] | None,
    input_scale: float,
    bits: int,
    per_tensor: bool = False,
    methods: Collection[str] = (),
) -> npt.NDArray[np.float64]:
    """Return S_w of one convolution, float64 [C_out]: not 0, large enough for its bias. Raises QuantizationError."""
    w, b = _finite(name, weight, bias)
    top = IntType(bits, signed=True).hi
    largest = np.abs(w).max(axis=tuple(range(1, w.ndim)))
    if per_tensor:
        largest = np.full_like(largest, largest.max())
    scale = largest / top
    if "clipping" in methods:
        scale = clip_scale(w, scale, top, per_tensor)
    layer = scale.max() if scale.max() > 0 else 1.0
    scale = np.maximum(scale, layer * _DEAD_FLOOR)
    result: npt.NDArray[np.float64] = np.maximum(scale, np.abs(b) / (input_scale * _BIAS_LIMIT))
    return result


def _finite(
    name: str, weight: npt.NDArray[np.float32], bias: npt.NDArray[np.float32] | None
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    w = weight.astype(np.float64)
    b = np.zeros(len(w)) if bias is None else bias.astype(np.float64)
    if not (np.isfinite(w).all() and np.isfinite(b).all()):
        raise QuantizationError(f"node {name!r}: a weight or bias is not finite; the checkpoint is damaged")
    return w, b
