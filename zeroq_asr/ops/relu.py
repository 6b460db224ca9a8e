"""relu: the clip of the step before it where only the ReLU reads that; a sum of its own elsewhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.base import Op, one_factor
from zeroq_asr.ops.lowering import Lowering
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class ReLU(Op):
    """max(x, 0)."""

    name = "relu"
    meaning = "max(x, 0)"
    rounds_itself = True
    is_nonnegative = True

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        return one_factor(node)

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        return Signal(operands[0].data.relu(), operands[0].lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        return operands[0].through(lambda x: np.maximum(x, 0.0))

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """The ReLU of a value that others read too."""
        state.emit_sum([state.operand(node.inputs[0])], name, node.origin, relu=True)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        body.emit("Relu", list(node.inputs), node.output)


OPS = (ReLU(),)
