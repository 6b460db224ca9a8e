"""batch_norm: the affine function of a trained BatchNorm. Folded into the convolution before it when quantized."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

from zeroq_asr.ir.types import Node
from zeroq_asr.ops.base import Op, real_attribute
from zeroq_asr.ops.signals import Signal

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody

_ONNX_ORDER = (2, 3, 0, 1)
"""ONNX wants scale, bias, mean, variance; ours are mean, var, gamma, beta."""


class BatchNorm(Op):
    """mean, var: the running statistics; gamma, beta: the trained affine part; [C] each (Ioffe and Szegedy 2015)."""

    name = "batch_norm"
    meaning = "(x - mean) / sqrt(var + eps) * gamma + beta"
    constants = ("mean", "var", "gamma", "beta")
    factored = ("gamma", "beta")
    attributes: ClassVar[Mapping[str, type]] = {"eps": float}

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        from torch.nn import functional as F

        mean, var, gamma, beta = constants
        x, eps = operands[0], real_attribute(node, "eps")
        return Signal(F.batch_norm(x.data, mean, var, gamma, beta, training=False, eps=eps), x.lengths)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        inputs = [node.inputs[0], *(node.inputs[1 + place] for place in _ONNX_ORDER)]
        body.emit("BatchNormalization", inputs, node.output, epsilon=node.attrs["eps"])


OPS = (BatchNorm(),)
