"""Quantization of weights and biases.

    S_w[c] = max |w[c]| / (2^(b-1) - 1),   q = clip(floor(w / S_w + 1/2), -(2^(b-1) - 1), 2^(b-1) - 1)

The range of weights is symmetric. The bias becomes int32 at the scale of the accumulator, S_x * S_w[c].
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from int_kernels.int_type import IntType
from zeroq_asr.config import MIN_WEIGHT_SCALE, QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.quant.mse_weight_scale import mse_weight_scale
from zeroq_asr.quant.qparams import round_half_up
from zeroq_asr.quant.squant import squant

_BIAS_LIMIT = 2.0**30
"""Largest bias in accumulator units: half of int32 is left for the products, whose exact bound is proved later."""


@dataclass(frozen=True)
class RoundedWeights:
    """Quantized weights: codes int8 of the shape of the weights, scale float64 [C_out]."""

    codes: npt.NDArray[np.int8]
    scale: npt.NDArray[np.float64]

    @property
    def real(self) -> npt.NDArray[np.float64]:
        """The represented weights, scale * codes: float64 of the shape of the codes."""
        along = self.scale.reshape(-1, *(1,) * (self.codes.ndim - 1))
        real: npt.NDArray[np.float64] = along * self.codes
        return real


@dataclass(frozen=True)
class QuantizedConv:
    """The integers of a convolution.

    weight: int8 [C_out, C_in / groups, K] or [O, C / groups, KH, KT]. bias: int32 [C_out]. weight_scale: float64
    [C_out].
    """

    weight: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    weight_scale: npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class FloatConv:
    """A convolution to be quantized.

    weight: float32 [C_out, C_in / groups, K] or [O, C / groups, KH, KT]. bias: float32 [C_out] or None. input_scale:
    S_x. bits: of the weights. per_tensor: one scale for all output channels. methods: "clipping" uses the scales of
    least squared error (`mse_weight_scale`), "squant" rounds so that errors cancel (`squant`); others have no effect
    here.
    """

    name: str
    weight: npt.NDArray[np.float32]
    bias: npt.NDArray[np.float32] | None
    input_scale: float
    bits: int
    per_tensor: bool = False
    methods: Collection[str] = ()

    @classmethod
    def of(cls, graph: Graph, node: Node, input_scale: float, config: QuantizeConfig) -> FloatConv:
        """Return the convolution `node` of a float graph with the bits, granularity and methods of `config`."""
        weight, *bias = (graph.constants[name].astype(np.float32) for name in node.inputs[1:])
        bits, per_tensor = config.bits_of(node.output), config.granularity == "per-tensor"
        return cls(node.output, weight, bias[0] if bias else None, input_scale, bits, per_tensor, config.methods)


def quantize_conv(conv: FloatConv, rounded: RoundedWeights | None = None) -> QuantizedConv:
    """Return the integers of one convolution. Raises QuantizationError (weights or bias not finite).

    rounded: used unchanged in place of what `conv.methods` would compute, unless the bias does not fit their scale.
    """
    w, b = _finite(conv)
    least = np.abs(b) / (conv.input_scale * _BIAS_LIMIT)
    if rounded is not None and (rounded.scale >= least).all():
        codes, scale = rounded.codes, rounded.scale
    else:
        top = IntType(conv.bits, signed=True).hi
        scale = weight_scales(conv)
        scaled = (w / scale.reshape(-1, *(1,) * (w.ndim - 1))).clip(-top, top)
        codes = (squant(scaled, top) if "squant" in conv.methods else round_half_up(scaled)).astype(np.int8)
    bias_codes = round_half_up(b / (conv.input_scale * scale)).astype(np.int32)
    return QuantizedConv(codes, bias_codes, scale)


def weight_scales(conv: FloatConv) -> npt.NDArray[np.float64]:
    """Return S_w of one convolution, float64 [C_out] > 0, large enough for its bias. Raises QuantizationError."""
    w, b = _finite(conv)
    top = IntType(conv.bits, signed=True).hi
    largest = np.abs(w).max(axis=tuple(range(1, w.ndim)))
    if conv.per_tensor:
        largest = np.full_like(largest, largest.max())
    scale = largest / top
    if "clipping" in conv.methods:
        scale = mse_weight_scale(w, scale, top, per_tensor=conv.per_tensor)
    layer = scale.max() if scale.max() > 0 else 1.0
    scale = np.maximum(scale, layer * MIN_WEIGHT_SCALE)
    result: npt.NDArray[np.float64] = np.maximum(scale, np.abs(b) / (conv.input_scale * _BIAS_LIMIT))
    return result


def _finite(conv: FloatConv) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    w = conv.weight.astype(np.float64)
    b = np.zeros(len(w)) if conv.bias is None else conv.bias.astype(np.float64)
    if not (np.isfinite(w).all() and np.isfinite(b).all()):
        raise QuantizationError(
            f"node {conv.name!r}: expected finite weights and biases, got others; is the checkpoint damaged?"
        )
    return w, b
