"""Convolutions: integer weights, the proved reach of the accumulator, one rounding or none; the head.

acc = sum w_q (q_x - o) + b_q = sum w_q q_x + (b_q - o sum w_q)         an offset o of x goes into the int32 bias
real = S_x S_w[c] acc
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt

from int_kernels.bounds import accumulator_bounds, product_bounds
from int_kernels.int_type import INT32
from zeroq_asr.errors import GraphError, QuantizationError
from zeroq_asr.ir.types import Array, Attribute, Node, Value
from zeroq_asr.passes.lowering.state import Lowering, Operand, clip_of
from zeroq_asr.quant.fit_dyadic import fit_dyadic
from zeroq_asr.quant.weights import FloatConv, RoundedWeights, quantize_conv

TOKENS = "tokens"

_GEOMETRY = {
    "conv1d": ("stride", "dilation", "padding", "groups"),
    "conv2d": ("height", "stride_h", "stride_t", "padding_h", "padding_t", "groups"),
}

_LOGIT_BITS = 24
"""Logits get the finest grid on which the proved bound of every channel stays within this many bits."""


@dataclass(frozen=True)
class _Integers:
    """weight, bias; per output channel the scale of the accumulator and the proved largest |accumulator|."""

    weight: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    scales: npt.NDArray[np.float64]
    reach: list[int]


def lower_convolution(state: Lowering, node: Node, name: str, relu: bool) -> None:
    """Emit the convolution `node` with its own rounding: the codes of `name`, which is itself or a ReLU of it."""
    params = state.code(name)
    integers = _quantized(state, node)
    if node.op == "conv2d":
        targets: npt.NDArray[np.float64] = np.full(len(integers.scales), state.one_scale(name, node))
    else:
        targets = params.scales(state.channels(name))
    dyadic = fit_dyadic(node.output, integers.scales / targets)
    constants: dict[str, Array] = {"weight": integers.weight, "bias": integers.bias}
    constants.update(multiplier=dyadic.multiplier, shift=dyadic.shift)
    attrs = {**_attributes(state, node), **clip_of(params, relu)}
    channels = state.channels(name)
    state.emit(node.op, node.inputs[:1], name, channels, params.type, node.origin, attrs, constants, owner=node.output)


def lower_accumulator(state: Lowering, node: Node, name: str) -> Operand:
    """Emit the bare int32 accumulator of a conv1d under `name` and return it."""
    if node.op != "conv1d":
        raise GraphError(
            f"node {node.output!r}: expected a conv1d whose accumulator is read as it is, found {node.op!r}"
        )
    integers = _quantized(state, node)
    constants: dict[str, Array] = {"weight": integers.weight, "bias": integers.bias}
    operand = Operand(name, integers.scales, integers.reach)
    attrs = _attributes(state, node)
    return state.emit_accumulator(
        "accumulate", node.inputs[:1], operand, node.origin, attrs, constants, owner=node.output
    )


def lower_logits(state: Lowering, name: str) -> None:
    """Emit the head: every channel on one int32 grid, then the argmax."""
    node = state.producers.get(name)
    if node is None or node.op != "conv1d":
        raise GraphError(
            f"output {name!r}: expected a convolution as the last node, found {node.op if node else 'the input'!r}"
        )
    integers = _quantized(state, node)
    largest = max(float(scale) * reach for scale, reach in zip(integers.scales, integers.reach, strict=True))
    grid = largest / (2 ** (_LOGIT_BITS - 1) - 1) if largest > 0 else 1.0
    dyadic = fit_dyadic(node.output, integers.scales / grid)
    constants: dict[str, Array] = {"weight": integers.weight, "bias": integers.bias}
    constants.update(multiplier=dyadic.multiplier, shift=dyadic.shift)
    attrs: dict[str, Attribute] = {**_attributes(state, node), "lo": INT32.lo, "hi": INT32.hi}
    state.emit("conv1d", node.inputs[:1], name, state.channels(name), INT32, node.origin, attrs, constants)
    state.values[TOKENS] = Value(TOKENS, 1, INT32)
    state.nodes.append(Node("argmax", (name,), TOKENS, {}, node.origin))


def _attributes(state: Lowering, node: Node) -> dict[str, Attribute]:
    return {**{name: node.attrs[name] for name in _GEOMETRY[node.op]}, "bits": state.config.bits_of(node.output)}


def _quantized(state: Lowering, node: Node) -> _Integers:
    """Return the integers of a convolution. Raises QuantizationError where its accumulator could leave int32."""
    code = state.code(node.inputs[0])
    real = FloatConv.of(state.graph, node, code.scale, state.config)
    rounded = state.rounded.get(node.output)
    if code.channel_factors is not None:
        real = replace(real, weight=_scaled_columns(real.weight, code.channel_factors, node.integer("groups")))
        rounded = _scaled_rows(rounded, code.channel_factors) if rounded and real.weight.shape[1] == 1 else None
    conv = quantize_conv(real, rounded)
    sums = conv.weight.reshape(len(conv.weight), -1).sum(axis=1, dtype=np.int64)
    shifted = conv.bias.astype(np.int64) - code.offset * sums
    lo, hi = accumulator_bounds(conv.weight, shifted, code.type)
    bare_lo, bare_hi = product_bounds(conv.weight, code.type)
    reach = np.maximum(np.maximum(-lo, hi), 0)
    largest = int(max(reach.max(), (-bare_lo).max(), bare_hi.max(), np.abs(shifted).max()))
    if largest > INT32.hi:
        raise QuantizationError(
            f"node {node.output!r}: its accumulator could reach {largest:,}, int32 holds {INT32.hi:,}; "
            "use fewer --bits or --act-bits"
        )
    return _Integers(conv.weight, shifted.astype(np.int32), code.scale * conv.weight_scale, reach.tolist())


def _scaled_columns(
    weight: npt.NDArray[np.float32], factors: npt.NDArray[np.float64], groups: int
) -> npt.NDArray[np.float32]:
    """w[o, c, ...] * factor of the input channel that it meets; the accumulator keeps one scale per output channel."""
    columns = factors.reshape(groups, weight.shape[1])
    rows = columns.repeat(len(weight) // groups, axis=0)
    return (weight * rows.reshape(*rows.shape, *(1,) * (weight.ndim - 2))).astype(np.float32)


def _scaled_rows(rounded: RoundedWeights, factors: npt.NDArray[np.float64]) -> RoundedWeights:
    """The same for weights of a depthwise convolution that are rounded already: the factor goes into their scale."""
    return RoundedWeights(rounded.codes, rounded.scale * factors.repeat(len(rounded.scale) // len(factors)))
