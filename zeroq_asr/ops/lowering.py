"""The integer program while it grows, and the steps that several operations emit.

y = clip(floor((sum_i m_i x_i + b) / 2^r + 1/2), lo, hi),      m_i / 2^r ~ S_i / S_y      one rounding for all
acc = sum w_q (q_x - o) + b_q = sum w_q q_x + (b_q - o sum w_q)      an offset o of x goes into the int32 bias
real = S_x S_w[c] acc
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np
import numpy.typing as npt

from int_kernels import Conv1d, IntType, Multiply, Step, Sum, ValueSpec
from int_kernels.bounds import accumulator_bounds, product_bounds
from int_kernels.int_type import INT32
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import GraphError, QuantizationError
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.quant.fit_dyadic import fit_common_shift
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.weights import FloatConv, RoundedWeights, quantize_conv

Role = Literal["code", "stream", "accumulator", "inner", "logits"]
"""What a value of the float graph becomes: see `zeroq_asr.analyses.roles`."""

Clip = tuple[int, int]


@dataclass(frozen=True)
class Operand:
    """An integer value as its readers see it: real = scales[c] * integer, |integer| <= reach[c]."""

    name: str
    scales: npt.NDArray[np.float64]
    reach: list[int]


@dataclass(frozen=True)
class ConvIntegers:
    """weight, bias; per output channel the scale of the accumulator and its proved largest magnitude."""

    weight: npt.NDArray[np.int8]
    bias: npt.NDArray[np.int32]
    scales: npt.NDArray[np.float64]
    reach: list[int]


@dataclass
class Lowering:
    """Given: the float graph, the role and the code of its values, weights that are rounded already.

    Made so far: the values and steps of the program, and the int32 accumulators among them.
    """

    graph: Graph
    roles: Mapping[str, Role]
    qparams: Mapping[str, QuantParams]
    config: QuantizeConfig
    rounded: Mapping[str, RoundedWeights] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    values: dict[str, ValueSpec] = field(default_factory=dict)
    accumulators: dict[str, Operand] = field(default_factory=dict)
    producers: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.producers = {node.output: node for node in self.graph.nodes}

    def channels(self, name: str) -> int:
        """C of a value of the float graph."""
        return self.graph.values[name].channels

    def code(self, name: str) -> QuantParams:
        """Return scale and type of a stored value."""
        return self.qparams[name]

    def one_scale(self, name: str, reader: Node) -> float:
        """Return the scale of a stored value that must have a single one. Raises GraphError."""
        params = self.qparams[name]
        if params.channel_factors is not None or params.offset:
            raise GraphError(f"node {reader.output!r}: expected {name!r} with one scale and no offset; it has others")
        return params.scale

    def operand(self, name: str) -> Operand:
        """Return an accumulator or a stored value that has been made already."""
        if name in self.accumulators:
            return self.accumulators[name]
        params, channels = self.qparams[name], self.channels(name)
        if params.offset:
            raise GraphError(f"value {name!r}: only linear layers can read a code with an offset")
        return Operand(name, params.scales(channels), [max(-params.type.lo, params.type.hi)] * channels)

    def emit(self, step: Step, channels: int, type: IntType) -> None:
        """Append a step; its value gets `channels` and `type`."""
        self.values[step.y] = ValueSpec(step.y, channels, type)
        self.steps.append(step)

    def emit_accumulator(self, step: Step, operand: Operand) -> Operand:
        """Append a step that makes the int32 value `operand` and return it."""
        self.emit(step, len(operand.scales), INT32)
        self.accumulators[operand.name] = operand
        return operand

    def emit_sum(self, branches: Sequence[Operand], name: str, origin: str, relu: bool) -> None:
        """Emit the stored value `name` = the sum of `branches`, from 0 on if `relu`: one rounding for all."""
        params = self.code(name)
        scales = params.scales(self.channels(name))
        ratios = np.stack([branch.scales / scales for branch in branches])
        multipliers, shift = fit_common_shift(name, ratios, [branch.reach for branch in branches])
        names = tuple(branch.name for branch in branches)
        step = Sum(names, name, multipliers, shift, clip_of(params, relu), origin=origin)
        self.emit(step, len(scales), params.type)

    def emit_product(self, a: Operand, b: Operand, name: str, origin: str) -> Operand:
        """Emit a * b in int32 as `name` and return it."""
        reach = [x * y for x, y in zip(a.reach, b.reach, strict=True)]
        product = Operand(name, a.scales * b.scales, reach)
        return self.emit_accumulator(Multiply((a.name, b.name), name, origin=origin), product)

    def lower_accumulator(self, node: Node, name: str) -> Operand:
        """Emit the bare int32 accumulator of a conv1d under `name` and return it. Raises GraphError."""
        if node.op != "conv1d":
            raise GraphError(
                f"node {node.output!r}: expected a conv1d whose accumulator is read as it is, found {node.op!r}"
            )
        integers = self.quantize(node)
        step = conv1d_step(self, node, name, integers)
        return self.emit_accumulator(step, Operand(name, integers.scales, integers.reach))

    def quantize(self, node: Node) -> ConvIntegers:
        """Return the integers of a convolution. Raises QuantizationError where its accumulator could leave int32."""
        code = self.code(node.inputs[0])
        real = FloatConv.of(self.graph, node, code.scale, self.config)
        rounded = self.rounded.get(node.output)
        if code.channel_factors is not None:
            real = replace(real, weight=_scaled_inputs(real.weight, code.channel_factors, node.integer("groups")))
            rounded = (
                _scaled_depthwise(rounded, code.channel_factors) if rounded and real.weight.shape[1] == 1 else None
            )
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
        return ConvIntegers(conv.weight, shifted.astype(np.int32), code.scale * conv.weight_scale, reach.tolist())


def conv1d_step(state: Lowering, node: Node, name: str, integers: ConvIntegers, **rest: object) -> Conv1d:
    """Return the integer conv1d of `node` that makes `name`. rest: rescale and clip; without them the accumulator."""
    geometry = {key: node.integer(key) for key in ("stride", "dilation", "padding", "groups")}
    meta = {"weight_bits": state.config.bits_of(node.output), "origin": node.origin, "layer": layer_name(node, name)}
    return Conv1d(node.inputs[0], name, integers.weight, integers.bias, **geometry, **meta, **rest)  # type: ignore[arg-type]


def layer_name(node: Node, value: str) -> str:
    """Return what a convolution step's `layer` says: the layer's name, or nothing where its value is called so."""
    return "" if node.output == value else node.output


def clip_of(params: QuantParams, relu: bool = False) -> Clip:
    """Return the whole range of the type, or its part from 0 on."""
    return max(params.type.lo, 0) if relu else params.type.lo, params.type.hi


def _scaled_inputs(
    weight: npt.NDArray[np.float32], factors: npt.NDArray[np.float64], groups: int
) -> npt.NDArray[np.float32]:
    """w[o, c, ...] * factor of the input channel that it meets; the accumulator keeps one scale per output channel."""
    columns = factors.reshape(groups, weight.shape[1])
    rows = columns.repeat(len(weight) // groups, axis=0)
    return (weight * rows.reshape(*rows.shape, *(1,) * (weight.ndim - 2))).astype(np.float32)


def _scaled_depthwise(rounded: RoundedWeights, factors: npt.NDArray[np.float64]) -> RoundedWeights:
    """The same for weights of a depthwise convolution that are rounded already: the factor goes into their scale."""
    return RoundedWeights(rounded.codes, rounded.scale * factors.repeat(len(rounded.scale) // len(factors)))
