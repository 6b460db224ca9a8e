"""The float executor, with one convolution made fast for synthesis."""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor

from zeroq_asr.ir.types import Node
from zeroq_asr.runtime.float_executor import FloatExecutor, _Signal


class SynthesisExecutor(FloatExecutor):
    """A FloatExecutor that computes dilated depthwise convolutions phase by phase.

    torch has no fast kernel for them on a CPU: one such layer takes as long as all the rest of a QuartzNet, forward and
    backward. The result is the same up to the order of additions.
    """

    def _step(self, node: Node, operands: list[_Signal]) -> _Signal:
        if node.op == "conv1d" and operands[0].lengths is None and _is_dilated_depthwise(node):
            weight = self._constants[node.inputs[1]]
            if len(node.inputs) == 2 and node.integer("groups") == weight.shape[0] == operands[0].data.shape[1]:
                dilation, padding = node.integer("dilation"), node.integer("padding")
                data = dilated_depthwise(operands[0].data, weight, dilation, padding)
                return _Signal(data, None)
        return super()._step(node, operands)


def dilated_depthwise(x: Tensor, weight: Tensor, dilation: int, padding: int) -> Tensor:
    """y[b, c, t] = sum_k w[c, k] x[b, c, t + d k - p] as d convolutions without dilation, one per phase t mod d.

    x [B, C, 1, T], weight [C, 1, 1, K]; returns [B, C, 1, T + 2 p - d (K - 1)], channels-last.
    """
    batch, channels, _, frames = x.shape
    kernel = weight.shape[3]
    result = frames + 2 * padding - dilation * (kernel - 1)
    # phases of equal length: zeros behind the end are read by no output that is kept
    extra = -(frames + 2 * padding) % dilation
    rows = F.pad(x.permute(0, 2, 3, 1).squeeze(1), (0, 0, padding, padding + extra))  # [B, T + 2 p + extra, C]
    steps = rows.shape[1] // dilation
    phases = rows.view(batch, steps, dilation, channels).transpose(1, 2).reshape(batch * dilation, 1, steps, channels)
    y = F.conv2d(phases.permute(0, 3, 1, 2), weight, groups=channels).permute(0, 2, 3, 1)  # [B d, 1, T'', C]
    y = y.reshape(batch, dilation, -1, channels).transpose(1, 2).reshape(batch, -1, channels)
    return y[:, :result].unsqueeze(1).permute(0, 3, 1, 2)


def _is_dilated_depthwise(node: Node) -> bool:
    return node.integer("dilation") > 1 and node.integer("groups") > 1 and node.integer("stride") == 1
