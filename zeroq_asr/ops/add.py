"""add: residual connections. All branches stay int32 until one sum with one rounding; a ReLU behind it is its clip."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from int_kernels import Sum as SumStep
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.base import Op, one_factor
from zeroq_asr.ops.lowering import Lowering, Operand
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal
from zeroq_asr.ops.simulation import dyadic_column, rounded

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class Add(Op):
    """x_1 + ... + x_n."""

    name = "add"
    meaning = "x_1 + ... + x_n"
    operands = None
    rounds_itself = True

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        return one_factor(node)

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        total = operands[0].data
        for operand in operands[1:]:
            total = total + operand.data
        return Signal(total, operands[0].lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        zero = 0 * operands[0].mean
        return ChannelMoments.normal(sum((o.mean for o in operands), zero), sum((o.var for o in operands), zero))

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """One sum of all branches, those of additions that only this one reads included."""
        state.emit_sum(_branches(state, node), name, node.origin, relu)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        # Engines fuse and quantize Add; Sum is the same for any number of operands.
        body.emit("Add" if len(node.inputs) == 2 else "Sum", list(node.inputs), node.output)


def _branches(state: Lowering, add: Node) -> list[Operand]:
    branches = []
    for name in add.inputs:
        node = state.producers.get(name)
        if node is not None and state.roles[name] == "inner":
            branches += _branches(state, node) if node.op == "add" else [state.lower_accumulator(node, name)]
        else:
            branches.append(state.operand(name))
    return branches


def simulate(step: SumStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64."""
    total = xs[0] * dyadic_column(step.multipliers[0], step.shift)
    for x, multiplier in zip(xs[1:], step.multipliers[1:], strict=True):
        total = total + x * dyadic_column(multiplier, step.shift)
    return rounded(total if step.bias is None else total + dyadic_column(step.bias, step.shift), step.clip)


OPS = (Add(),)
SIMULATIONS = {SumStep: simulate}
