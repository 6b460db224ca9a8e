"""scale: multiplication by a number (Macaron half steps, logit temperatures). Folded into the layer before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.base import Op, real_attribute
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class Scale(Op):
    """factor * x."""

    name = "scale"
    meaning = "factor * x"
    attributes: ClassVar[Mapping[str, type]] = {"factor": float}

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        return Signal(operands[0].data * real_attribute(node, "factor"), operands[0].lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        return operands[0].scaled(real_attribute(node, "factor"))

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        factor = body.constant(f"{node.output}.factor", real_attribute(node, "factor"))
        body.emit("Mul", [node.inputs[0], factor], node.output)


OPS = (Scale(),)
