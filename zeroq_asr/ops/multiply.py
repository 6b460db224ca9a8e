"""multiply: the exact int32 product of two values, rounded by its readers or by a sum."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from int_kernels import Multiply as MultiplyStep
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.base import ONCE, Op, one_factor, require
from zeroq_asr.ops.lowering import Lowering, Operand
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class Multiply(Op):
    """x_1 * x_2; x_2 may have length 1 and holds for all frames then (squeeze-and-excitation)."""

    name = "multiply"
    meaning = "x_1 * x_2; x_2 may have length 1 and holds for all frames then"
    operands = 2

    def length_kind(self, where: str, node: Node, kinds: Sequence[str], constants: Mapping[str, Array]) -> str:
        require(kinds[1] in (kinds[0], ONCE), where, f"a second operand of {kinds[0]} or once", kinds[1])
        return kinds[0]

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        return one_factor(node, 1)

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        return Signal(operands[0].data * operands[1].data, operands[0].lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        return operands[0].times(operands[1])

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        state.emit_sum([lower_product(state, node, f"{name}.product")], name, node.origin, relu=False)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        body.emit("Mul", list(node.inputs), node.output)


def lower_product(state: Lowering, node: Node, name: str) -> Operand:
    """Emit the exact int32 product of the two operands of `node` as `name` and return it."""
    a, b = (state.operand(operand) for operand in node.inputs)
    return state.emit_product(a, b, name, node.origin)


def simulate(step: MultiplyStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64: exact."""
    return xs[0] * xs[1]


OPS = (Multiply(),)
SIMULATIONS = {MultiplyStep: simulate}
