"""leaky_relu: x above 0, slope * x below. Reads accumulators and rounds once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from int_kernels import LeakyRelu as LeakyReluStep
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.base import Op, one_factor, real_attribute, require
from zeroq_asr.ops.lowering import Lowering, clip_of
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal
from zeroq_asr.ops.simulation import dyadic_column, rounded
from zeroq_asr.quant.fit_dyadic import fit_common_shift

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class LeakyReLU(Op):
    """max(x, 0) + slope * min(x, 0), 0 <= slope <= 1 (Maas et al. 2013)."""

    name = "leaky_relu"
    meaning = "max(x, 0) + slope * min(x, 0)"
    attributes: ClassVar[Mapping[str, type]] = {"slope": float}
    rounds_itself = True

    def check(self, where: str, node: Node, channels: Sequence[int], out: int, constants: Mapping[str, Array]) -> None:
        super().check(where, node, channels, out, constants)
        slope = real_attribute(node, "slope")
        require(0 <= slope <= 1, where, "a slope of 0 to 1", slope)

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        return one_factor(node)

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        from torch.nn import functional as F

        return Signal(F.leaky_relu(operands[0].data, real_attribute(node, "slope")), operands[0].lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        slope = real_attribute(node, "slope")
        return operands[0].through(lambda x: np.where(x >= 0, x, slope * x))

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """S_x / S_y above 0 and slope S_x / S_y below, over one shift."""
        params, x = state.code(name), state.operand(node.inputs[0])
        ratio = x.scales / params.scales(state.channels(name))
        ratios = np.stack([ratio, real_attribute(node, "slope") * ratio])
        multipliers, shift = fit_common_shift(name, ratios, [x.reach, x.reach])
        step = LeakyReluStep(x.name, name, multipliers, shift, clip_of(params), origin=node.origin)
        state.emit(step, len(ratio), params.type)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        body.emit("LeakyRelu", list(node.inputs), node.output, alpha=real_attribute(node, "slope"))


def simulate(step: LeakyReluStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64."""
    positive, negative = (dyadic_column(multiplier, step.shift) for multiplier in step.multipliers)
    return rounded(xs[0].clamp(min=0) * positive + xs[0].clamp(max=0) * negative, step.clip)


OPS = (LeakyReLU(),)
SIMULATIONS = {LeakyReluStep: simulate}
