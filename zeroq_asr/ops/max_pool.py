"""max_pool: the largest of neighbouring frames. It keeps the scale of its operand, so the integers are compared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import erf, pi, sqrt
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from int_kernels import MaxPool as MaxPoolStep
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.base import FRAMES, Op, one_factor, output_length, require
from zeroq_asr.ops.lowering import Lowering
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal, frames_within, lengths_after

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class MaxPool(Op):
    """y[t] = max over k of x[t * stride + k - padding] within the row's length; padding <= kernel // 2."""

    name = "max_pool"
    meaning = "max over k of x[t * stride + k - padding]; only frames within the row's length count"
    attributes: ClassVar[Mapping[str, type]] = {"kernel": int, "stride": int, "padding": int}
    reads_codes = True
    keeps_scale = True

    def check(self, where: str, node: Node, channels: Sequence[int], out: int, constants: Mapping[str, Array]) -> None:
        super().check(where, node, channels, out, constants)
        kernel, padding = node.integer("kernel"), node.integer("padding")
        require(padding <= kernel // 2, where, f"a padding of at most {kernel // 2}", padding)

    def length_kind(self, where: str, node: Node, kinds: Sequence[str], constants: Mapping[str, Array]) -> str:
        require(kinds[0] == FRAMES, where, "an operand of frames", kinds[0])
        return FRAMES

    def frames(self, graph: Graph, node: Node, frames: int) -> int:
        return output_length(frames, node.integer("kernel"), node.integer("stride"), 1, node.integer("padding"))

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        return one_factor(node)

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        import torch
        from torch.nn import functional as F

        kernel, stride, padding = (node.integer(name) for name in ("kernel", "stride", "padding"))
        x, data = operands[0], operands[0].data
        if output_length(data.shape[3], kernel, stride, 1, padding) < 1:
            raise GraphError(
                f"node {node.output!r}: {data.shape[3]} frames are too few for its kernel; give a longer input"
            )
        if x.lengths is not None:  # finite, so that a mask can make it 0 again
            data = data.masked_fill(~frames_within(x.lengths, data.shape[3]), torch.finfo(data.dtype).min)
        y = F.max_pool2d(data, (1, kernel), (1, stride), (0, padding))
        lengths = lengths_after(x.lengths, kernel, stride, 1, padding)
        return Signal(y if lengths is None else y * frames_within(lengths, y.shape[3]), lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        """Those of the largest of `kernel` independent normal draws; the range is that of x."""
        mean, var = moments_of_largest(node.integer("kernel"))
        x = operands[0]
        return ChannelMoments(x.mean + mean * np.sqrt(x.var), var * x.var, x.lo, x.hi)

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """The largest code stands for the largest value, as both have one scale."""
        kernel, stride, padding = (node.integer(key) for key in ("kernel", "stride", "padding"))
        step = MaxPoolStep(node.inputs[0], name, kernel, stride, padding, origin=node.origin)
        state.emit(step, state.channels(name), state.code(name).type)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        padding = node.integer("padding")
        body.emit(
            "MaxPool",
            list(node.inputs),
            node.output,
            kernel_shape=[1, node.integer("kernel")],
            strides=[1, node.integer("stride")],
            pads=[0, padding, 0, padding],
        )


def moments_of_largest(count: int) -> tuple[float, float]:
    """Mean and variance of the largest of `count` standard normal draws: density n phi(x) Phi(x)^(n-1), by a grid."""
    grid = np.linspace(-8, 8, 4001)
    below = np.array([0.5 * (1 + erf(x / sqrt(2))) for x in grid])
    density = count * np.exp(-(grid**2) / 2) / sqrt(2 * pi) * below ** (count - 1) * (grid[1] - grid[0])
    mean = float(density @ grid)
    return mean, float(density @ grid**2) - mean**2


def simulate(step: MaxPoolStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64: exact."""
    from torch.nn import functional as F

    return F.max_pool1d(xs[0], step.kernel, step.stride, step.padding)


OPS = (MaxPool(),)
SIMULATIONS = {MaxPoolStep: simulate}
