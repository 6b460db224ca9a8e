"""add_bias: one number per channel added (the two biases of relative attention's queries)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from int_kernels import Sum
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.base import Op, one_factor
from zeroq_asr.ops.lowering import Lowering, clip_of
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal
from zeroq_asr.quant.fit_dyadic import fit_affine

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class AddBias(Op):
    """x + bias, bias [C]."""

    name = "add_bias"
    meaning = "x + bias, one number per channel"
    constants = ("bias",)
    rounds_itself = True
    factored = ("bias",)

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        return one_factor(node, 1)

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        return Signal(operands[0].data + constants[0].view(1, -1, 1, 1), operands[0].lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        return operands[0].shifted(constants[0])

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """One sum with a bias, which enters before the rounding, 64 bits wide."""
        params, x = state.code(name), state.operand(node.inputs[0])
        scales = params.scales(state.channels(name))
        bias = state.graph.constants[node.inputs[1]].astype(np.float64)
        multipliers, shift, offset = fit_affine(name, (x.scales / scales)[None], bias / scales, [x.reach])
        step = Sum((x.name,), name, multipliers, shift, clip_of(params), offset, origin=node.origin)
        state.emit(step, len(scales), params.type)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        bias = body.constant(f"{node.output}.column", body.graph.constants[node.inputs[1]].reshape(1, -1, 1, 1))
        body.emit("Add", [node.inputs[0], bias], node.output)


OPS = (AddBias(),)
