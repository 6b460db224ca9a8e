"""layer_norm: normalisation of every frame over its channels (Ba et al. 2016)."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from int_kernels import LayerNorm as LayerNormStep
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.base import Op, real_attribute
from zeroq_asr.ops.lowering import Lowering, clip_of
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal, from_frames, to_frames
from zeroq_asr.ops.simulation import dyadic_column, rounded
from zeroq_asr.quant.elementwise import LAYER_NORM_ONE, epsilon_code
from zeroq_asr.quant.fit_dyadic import fit_affine

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class LayerNorm(Op):
    """gamma, beta: [C], either or both may be omitted (folded into the linear layers behind)."""

    name = "layer_norm"
    meaning = "(x - mean over channels) / sqrt(variance over channels + eps) [* gamma + beta]"
    constants = ("gamma", "beta")
    optional = 2
    attributes: ClassVar[Mapping[str, type]] = {"eps": float}

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        from torch.nn import functional as F

        gamma, beta = (*constants, None, None)[:2]
        rows = to_frames(operands[0].data)
        made = F.layer_norm(rows, rows.shape[2:], gamma, beta, real_attribute(node, "eps"))
        return Signal(from_frames(made), operands[0].lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        """Mean beta and variance gamma^2, whatever comes in."""
        channels = graph.values[node.output].channels
        gamma = constants[0] if constants else np.ones(channels)
        return ChannelMoments.normal(constants[1] if len(constants) > 1 else np.zeros(channels), gamma**2)

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """y = (gamma z + beta) / S_y: z in 1/16384 does not depend on the scale of x, but for epsilon's code."""
        params, channels = state.code(name), state.channels(name)
        affine = [state.graph.constants[constant].astype(np.float64) for constant in node.inputs[1:]]
        gamma = affine[0] if affine else np.ones(channels)
        beta = affine[1] if len(affine) == 2 else np.zeros(channels)
        scales = params.scales(channels)
        reach = [LAYER_NORM_ONE * (math.isqrt(channels - 1) + 1)] * channels  # 2^14 ceil(sqrt(d))
        ratios = (gamma / (LAYER_NORM_ONE * scales))[None]
        multipliers, shift, offset = fit_affine(name, ratios, beta / scales + params.offset, [reach])
        epsilon = epsilon_code(real_attribute(node, "eps"), channels, state.one_scale(node.inputs[0], node))
        step = LayerNormStep(
            node.inputs[0], name, epsilon, multipliers[0], offset, shift, clip_of(params), origin=node.origin
        )
        state.emit(step, channels, params.type)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        x, y, channels = node.inputs[0], node.output, body.graph.values[node.output].channels
        affine = list(node.inputs[1:]) or [body.constant(f"{y}.one", np.ones(channels))]
        rows = body.transpose(x, f"{y}.rows", 0, 2, 3, 1)
        made = body.emit("LayerNormalization", [rows, *affine], f"{y}.norm", axis=-1, epsilon=node.attrs["eps"])
        body.transpose(made, y, 0, 3, 1, 2)


def simulate(step: LayerNormStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64, with the real square root."""
    from torch.nn import functional as F

    channels = xs[0].shape[0]
    eps = step.epsilon / 2**12 / channels**2  # in squared codes
    z = F.layer_norm(xs[0].T, (channels,), eps=eps).T * LAYER_NORM_ONE
    return rounded(z * dyadic_column(step.multipliers, step.shift) + dyadic_column(step.bias, step.shift), step.clip)


OPS = (LayerNorm(),)
SIMULATIONS = {LayerNormStep: simulate}
