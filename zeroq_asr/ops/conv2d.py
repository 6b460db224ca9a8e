"""conv2d: convolution over rows and time of feature maps. A map of H rows is H channels, row c * H + h."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from int_kernels import Conv2d as Conv2dStep
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.base import FRAMES, Op, check_per_channel, output_length, require
from zeroq_asr.ops.lowering import Lowering, clip_of, layer_name
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal, lengths_after, masked_data
from zeroq_asr.ops.simulation import dyadic_column, rounded
from zeroq_asr.quant.fit_dyadic import fit_dyadic

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class Conv2d(Op):
    """weight [O, C / groups, KH, KT], bias [O] or none; H' = (H + 2 p - KH) // s + 1 rows per map."""

    name = "conv2d"
    meaning = (
        "convolution over rows and time of feature maps [C * height, T], row c * height + h; weight [O, C / groups, "
        "KH, KT]; zero outside [0, length) if masked"
    )
    constants = ("weight", "bias")
    optional = 1
    attributes: ClassVar[Mapping[str, type]] = dict.fromkeys(
        ("height", "stride_h", "stride_t", "padding_h", "padding_t", "groups", "masked"), int
    )
    is_convolution = True
    reads_codes = True

    def check(self, where: str, node: Node, channels: Sequence[int], out: int, constants: Mapping[str, Array]) -> None:
        height, groups, shape = node.integer("height"), node.integer("groups"), constants["weight"].shape
        require(channels[0] % height == 0, where, f"channels that {height} rows divide", channels[0])
        maps = channels[0] // height
        fits = len(shape) == 4 and maps % groups == 0 and shape[0] % groups == 0 and shape[1] == maps // groups
        require(fits, where, f"a weight [O, {maps} / {groups}, KH, KT]", shape)
        rows = output_rows(node, shape[2])
        require(rows >= 1, where, f"a kernel that fits into {height} rows", shape)
        require(out == shape[0] * rows, where, f"{shape[0]} maps of {rows} rows as output", f"{out} channels")
        check_per_channel(where, constants, shape[0])

    def length_kind(self, where: str, node: Node, kinds: Sequence[str], constants: Mapping[str, Array]) -> str:
        require(kinds[0] == FRAMES, where, "an operand of frames", kinds[0])
        return FRAMES

    def frames(self, graph: Graph, node: Node, frames: int) -> int:
        kernel = graph.constants[node.inputs[1]].shape[3]
        return output_length(frames, kernel, node.integer("stride_t"), 1, node.integer("padding_t"))

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        from torch.nn import functional as F

        x, weight, bias = operands[0], constants[0], constants[1] if len(constants) > 1 else None
        stride, padding, kernel = node.integer("stride_t"), node.integer("padding_t"), weight.shape[3]
        data = masked_data(x, bool(node.integer("masked")))
        batch, channels, _, frames = data.shape
        if output_length(frames, kernel, stride, 1, padding) < 1:
            raise GraphError(f"node {node.output!r}: {frames} frames are too few for its kernel; give a longer input")
        height = node.integer("height")
        y = F.conv2d(
            data.reshape(batch, channels // height, height, frames),
            weight,
            bias,
            stride=(node.integer("stride_h"), stride),
            padding=(node.integer("padding_h"), padding),
            groups=node.integer("groups"),
        )
        return Signal(y.reshape(batch, -1, 1, y.shape[3]), lengths_after(x.lengths, kernel, stride, 1, padding))

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        """E y = sum w E x + b, V y = sum w^2 V x, every tap an independent draw."""
        weight, groups, x = constants[0], node.integer("groups"), operands[0]
        bias = constants[1] if len(constants) > 1 else np.zeros(weight.shape[0])
        height, stride, padding = node.integer("height"), node.integer("stride_h"), node.integer("padding_h")

        def rows_of(w: Reals, v: Reals) -> Reals:
            """w [O, C / g, KH], v [C * H] -> [O, H']."""
            maps = np.pad(v.reshape(groups, -1, height), ((0, 0), (0, 0), (padding, padding)))
            kernels = w.reshape(groups, -1, *w.shape[1:])
            starts = range(0, stride * output_rows(node, w.shape[2]), stride)
            windows = [maps[:, :, start : start + w.shape[2]] for start in starts]
            made: Reals = np.stack([np.einsum("gock,gck->go", kernels, part).ravel() for part in windows], axis=1)
            return made

        mean = rows_of(weight.sum(axis=3), x.mean) + bias[:, None]
        return ChannelMoments.normal(mean.ravel(), rows_of(np.square(weight).sum(axis=3), x.var).ravel())

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """One conv2d with its own rounding; its maps have one scale each, not its rows."""
        params, integers = state.code(name), state.quantize(node)
        targets = np.full(len(integers.scales), state.one_scale(name, node))
        step = Conv2dStep(
            node.inputs[0],
            name,
            integers.weight,
            integers.bias,
            node.integer("height"),
            (node.integer("stride_h"), node.integer("stride_t")),
            (node.integer("padding_h"), node.integer("padding_t")),
            node.integer("groups"),
            fit_dyadic(node.output, integers.scales / targets),
            clip_of(params, relu),
            weight_bits=state.config.bits_of(node.output),
            origin=node.origin,
            layer=layer_name(node, name),
        )
        state.emit(step, state.channels(name), params.type)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        x, *constants = node.inputs
        y, height, weight = node.output, node.integer("height"), body.graph.constants[node.inputs[1]]
        maps = body.reshape(x, f"{y}.maps", 0, body.graph.values[x].channels // height, height, -1)
        pads = [node.integer("padding_h"), node.integer("padding_t")]
        made = body.emit(
            "Conv",
            [maps, *constants],
            f"{y}.conv",
            kernel_shape=list(weight.shape[2:]),
            strides=[node.integer("stride_h"), node.integer("stride_t")],
            pads=pads + pads,
            group=node.integer("groups"),
        )
        body.reshape(made, y, 0, body.graph.values[y].channels, 1, -1)


def output_rows(node: Node, kernel: int) -> int:
    """Return H' of a conv2d whose weight has `kernel` rows: floor((H + 2 p - KH) / s) + 1."""
    return (node.integer("height") + 2 * node.integer("padding_h") - kernel) // node.integer("stride_h") + 1


def simulate(step: Conv2dStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64: x [C * H, T] -> [O * H', T']."""
    import torch
    from torch.nn import functional as F

    assert step.rescale is not None
    maps = xs[0].reshape(1, -1, step.height, xs[0].shape[1])
    weight, bias = (torch.tensor(array.astype(np.float64)) for array in (step.weight, step.bias))
    accumulator = F.conv2d(maps, weight, bias, step.stride, step.padding, groups=step.groups)[0]  # [O, H', T']
    scale = dyadic_column(step.rescale.multiplier, step.rescale.shift)[:, :, None]
    return rounded(accumulator * scale, step.clip).flatten(0, 1)


OPS = (Conv2d(),)
SIMULATIONS = {Conv2dStep: simulate}
