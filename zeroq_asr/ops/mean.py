"""mean: over the frames within each row's length (squeeze-and-excitation)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from int_kernels import Mean as MeanStep
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.base import FRAMES, ONCE, Op, one_factor, require
from zeroq_asr.ops.lowering import Lowering, clip_of
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal, masked_data
from zeroq_asr.ops.simulation import dyadic_column, rounded
from zeroq_asr.quant.fit_dyadic import fit_dyadic

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class Mean(Op):
    """The mean over time; its value has length 1."""

    name = "mean"
    meaning = "mean over the frames within the row's length; length 1"
    reads_codes = True

    def length_kind(self, where: str, node: Node, kinds: Sequence[str], constants: Mapping[str, Array]) -> str:
        require(kinds[0] == FRAMES, where, "an operand of frames", kinds[0])
        return ONCE

    def frames(self, graph: Graph, node: Node, frames: int) -> int:
        return 1

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        return one_factor(node)

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        x = operands[0]
        if x.lengths is None:
            return Signal(x.data.mean(dim=3, keepdim=True), None)
        total = masked_data(x).sum(dim=3, keepdim=True)
        return Signal(total / x.lengths.view(-1, 1, 1, 1), None)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        """Those of x: an utterance's frames are far from independent."""
        return operands[0]

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """The mean over time times S_x / S_y, rounded once."""
        params, x = state.code(name), state.operand(node.inputs[0])
        rescale = fit_dyadic(name, x.scales / params.scales(len(x.scales)))
        step = MeanStep(x.name, name, rescale, clip_of(params), origin=node.origin)
        state.emit(step, len(x.scales), params.type)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        body.emit("ReduceMean", [node.inputs[0]], node.output, axes=[3], keepdims=1)


def simulate(step: MeanStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64."""
    mean = xs[0].mean(dim=1, keepdim=True)
    return rounded(mean * dyadic_column(step.rescale.multiplier, step.rescale.shift), step.clip)


OPS = (Mean(),)
SIMULATIONS = {MeanStep: simulate}
