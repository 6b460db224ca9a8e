"""conv1d: convolution over time. A linear layer is one of kernel 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from int_kernels import Conv1d as Conv1dStep
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.base import FRAMES, Op, check_per_channel, output_length, require
from zeroq_asr.ops.lowering import Lowering, clip_of, conv1d_step
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal, from_frames, lengths_after, masked_data, to_frames
from zeroq_asr.ops.simulation import dyadic_column, rounded
from zeroq_asr.quant.fit_dyadic import fit_dyadic

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class Conv1d(Op):
    """weight [C_out, C_in / groups, K], bias [C_out] or none; T_out by `output_length`."""

    name = "conv1d"
    meaning = "convolution; zero outside [0, length) if masked"
    constants = ("weight", "bias")
    optional = 1
    attributes: ClassVar[Mapping[str, type]] = {
        "stride": int,
        "dilation": int,
        "padding": int,
        "groups": int,
        "masked": int,
    }
    is_convolution = True
    reads_codes = True

    def check(self, where: str, node: Node, channels: Sequence[int], out: int, constants: Mapping[str, Array]) -> None:
        groups, shape = node.integer("groups"), constants["weight"].shape
        fits = len(shape) == 3 and shape[0] == out and channels[0] % groups == 0 and out % groups == 0
        expected = f"a weight [{out}, {channels[0]} / {groups}, K]"
        require(fits and shape[1] == channels[0] // groups, where, expected, shape)
        check_per_channel(where, constants, out)

    def length_kind(self, where: str, node: Node, kinds: Sequence[str], constants: Mapping[str, Array]) -> str:
        geometry = (constants["weight"].shape[2], node.integer("stride"), node.integer("padding"))
        fits = kinds[0] == FRAMES or geometry == (1, 1, 0)
        require(fits, where, f"kernel 1, stride 1, padding 0 on {kinds[0]}", f"kernel, stride, padding {geometry}")
        return kinds[0]

    def frames(self, graph: Graph, node: Node, frames: int) -> int:
        kernel = graph.constants[node.inputs[1]].shape[2]
        return output_length(frames, kernel, *(node.integer(name) for name in ("stride", "dilation", "padding")))

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        """constants: the weight as [C_out, C_in / groups, 1, K], channels-last."""
        stride, dilation, padding = (node.integer(name) for name in ("stride", "dilation", "padding"))
        x, weight = operands[0], constants[0]
        kernel = weight.shape[3]
        # A kernel of one frame without padding never mixes what lies beyond the end into what lies within.
        data = masked_data(x, bool(node.integer("masked")) and (kernel > 1 or padding > 0))
        if output_length(data.shape[3], kernel, stride, dilation, padding) < 1:
            raise GraphError(
                f"node {node.output!r}: {data.shape[3]} frames are too few for its kernel; give a longer input"
            )
        data = _convolve(node, data, weight, constants[1] if len(constants) > 1 else None)
        return Signal(data, lengths_after(x.lengths, kernel, stride, dilation, padding))

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        """E y = sum w E x + b, V y = sum w^2 V x, every tap an independent draw. Of positions: their exact extremes."""
        producer = graph.producer(node.inputs[0])
        if producer is not None and producer.op == "positions":
            return _moments_of_positions(constants[0][:, :, 0])
        weight, groups, x = constants[0], node.integer("groups"), operands[0]
        bias = constants[1] if len(constants) > 1 else np.zeros(weight.shape[0])
        rows, columns = weight.shape[0] // groups, weight.shape[1]

        def gather(w: Reals, v: Reals) -> Reals:
            made: Reals = np.einsum("goc,gc->go", w.reshape(groups, rows, columns), v.reshape(groups, columns)).ravel()
            return made

        mean = gather(weight.sum(axis=2), x.mean) + bias
        return ChannelMoments.normal(mean, gather(np.square(weight).sum(axis=2), x.var))

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """One conv1d with its own rounding; for a residual of 16 bits an accumulator and a sum that rounds it."""
        if state.roles[name] != "code":
            accumulator = state.lower_accumulator(node, node.output if relu else f"{name}.accumulator")
            state.emit_sum([accumulator], name, node.origin, relu)
            return
        params, integers = state.code(name), state.quantize(node)
        channels = state.channels(name)
        rescale = fit_dyadic(node.output, integers.scales / params.scales(channels))
        step = conv1d_step(state, node, name, integers, rescale=rescale, clip=clip_of(params, relu))
        state.emit(step, channels, params.type)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        padding, weight = node.integer("padding"), body.graph.constants[node.inputs[1]]
        body.emit(
            "Conv",
            list(node.inputs),
            node.output,
            kernel_shape=[1, weight.shape[2]],
            strides=[1, node.integer("stride")],
            dilations=[1, node.integer("dilation")],
            pads=[0, padding, 0, padding],
            group=node.integer("groups"),
        )


def _convolve(node: Node, data: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    import torch
    from torch.nn import functional as F

    stride, dilation, padding = (node.integer(name) for name in ("stride", "dilation", "padding"))
    kernel, groups = weight.shape[3], node.integer("groups")
    if kernel == stride == groups == 1 and padding == 0:
        return from_frames(F.linear(to_frames(data), weight[:, :, 0, 0], bias))
    if dilation > 1 and stride == 1 and bias is None and groups == weight.shape[0] == data.shape[1]:
        return dilated_depthwise(data, weight, dilation, padding)
    return F.conv2d(
        data.contiguous(memory_format=torch.channels_last),
        weight,
        bias,
        stride=(1, stride),
        padding=(0, padding),
        dilation=(1, dilation),
        groups=groups,
    )


def dilated_depthwise(x: Tensor, weight: Tensor, dilation: int, padding: int) -> Tensor:
    """y[b, c, t] = sum_k w[c, k] x[b, c, t + d k - p] as d convolutions without dilation, one per phase t mod d.

    x [B, C, 1, T], weight [C, 1, 1, K]; returns [B, C, 1, T + 2 p - d (K - 1)], channels-last. torch has no fast kernel
    for dilated depthwise convolutions on a CPU: one such layer took as long as the rest of a QuartzNet.
    """
    from torch.nn import functional as F

    batch, channels, _, frames = x.shape
    result = frames + 2 * padding - dilation * (weight.shape[3] - 1)
    # Zeros behind the end make phases of equal length; no output that is kept reads them.
    extra = -(frames + 2 * padding) % dilation
    rows = F.pad(x.permute(0, 2, 3, 1).squeeze(1), (0, 0, padding, padding + extra))  # [B, T + 2 p + extra, C]
    steps = rows.shape[1] // dilation
    phases = rows.view(batch, steps, dilation, channels).transpose(1, 2).reshape(batch * dilation, 1, steps, channels)
    y = F.conv2d(phases.permute(0, 3, 1, 2), weight, groups=channels).permute(0, 2, 3, 1)  # [B d, 1, T'', C]
    y = y.reshape(batch, dilation, -1, channels).transpose(1, 2).reshape(batch, -1, channels)
    return y[:, :result].unsqueeze(1).permute(0, 3, 1, 2)


def _moments_of_positions(weight: Reals) -> ChannelMoments:
    """What a layer without bias makes of the sinusoids: no chance in it, extremes over |p| < 1000."""
    channels = weight.shape[1]
    angles = np.arange(-999, 1000) * 10000.0 ** (-np.arange(0, channels, 2) / channels)[:, None]
    made = weight @ np.stack((np.sin(angles), np.cos(angles)), axis=1).reshape(channels, -1)
    return ChannelMoments(made.mean(axis=1), made.var(axis=1), made.min(axis=1), made.max(axis=1))


def simulate(step: Conv1dStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64: x [C_in, T] -> [C_out, T']."""
    import torch
    from torch.nn import functional as F

    accumulator = F.conv2d(
        xs[0][None, :, None, :].contiguous(memory_format=torch.channels_last),
        torch.tensor(step.weight.astype(np.float64))[:, :, None, :],
        torch.tensor(step.bias.astype(np.float64)),
        stride=(1, step.stride),
        padding=(0, step.padding),
        dilation=(1, step.dilation),
        groups=step.groups,
    )[0, :, 0]
    if step.rescale is None:
        return accumulator
    return rounded(accumulator * dyadic_column(step.rescale.multiplier, step.rescale.shift), step.clip)


OPS = (Conv1d(),)
SIMULATIONS = {Conv1dStep: simulate}
