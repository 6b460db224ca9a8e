"""The operations of the float dialect in torch, each a function of its node, its operands and its constants.

Inside, a value [B, C, T] is held as [B, C, 1, T]. Its memory is channels-last order wherever an operation needs it so:
a layer over channels sees [B, T, C] without copying, and on a CPU torch runs a depthwise convolution several times
faster in that form than as a one-dimensional one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.ops import output_length
from zeroq_asr.ir.types import Node


@dataclass(frozen=True)
class Signal:
    """A value on its way: `data` [B, C, 1, T] and, in a padded batch, the true length of each row.

    Relative positions are one for all rows, [1, C, 1, 2T - 1] of the padded T, and have no lengths; nor has a mean.
    """

    data: Tensor
    lengths: Tensor | None


Operation = Callable[[Node, Sequence[Signal], Sequence[Tensor]], Signal]


def inside(lengths: Tensor, frames: int) -> Tensor:
    """Return which of `frames` frames lie within each row's length: bool [B, 1, 1, T]."""
    return (torch.arange(frames, device=lengths.device) < lengths.unsqueeze(1))[:, None, None, :]


def frames_of_operand(x: Signal, masked: bool) -> Tensor:
    """The data, with zeros beyond each row's end if `masked`."""
    if x.lengths is None or not masked:
        return x.data
    return x.data * inside(x.lengths, x.data.shape[3])


def lengths_after(lengths: Tensor | None, kernel: int, stride: int, dilation: int, padding: int) -> Tensor | None:
    """Return each row's length behind a convolution."""
    if lengths is None:
        return None
    return torch.div(lengths + 2 * padding - dilation * (kernel - 1) - 1, stride, rounding_mode="floor") + 1


def to_frames(data: Tensor) -> Tensor:
    """[B, C, 1, T] -> [B, T, C], contiguous; no copy where the memory is channels-last."""
    return data.squeeze(2).transpose(1, 2).contiguous()


def from_frames(rows: Tensor) -> Tensor:
    """[B, T, C] -> [B, C, 1, T], channels-last."""
    return rows.transpose(1, 2).unsqueeze(2)


def _conv1d(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    stride, dilation, padding = node.integer("stride"), node.integer("dilation"), node.integer("padding")
    x, weight, bias = operands[0], constants[0], constants[1] if len(constants) > 1 else None
    kernel, groups = weight.shape[3], node.integer("groups")
    # a kernel of one frame without padding never mixes what lies beyond the end into what lies within
    data = frames_of_operand(x, bool(node.integer("masked")) and (kernel > 1 or padding > 0))
    if output_length(data.shape[3], kernel, stride, dilation, padding) < 1:
        raise GraphError(
            f"node {node.output!r}: {data.shape[3]} frames are too few for its kernel; give a longer input"
        )
    if kernel == stride == groups == 1 and padding == 0:
        data = from_frames(F.linear(to_frames(data), weight[:, :, 0, 0], bias))
    elif dilation > 1 and stride == 1 and bias is None and groups == weight.shape[0] == data.shape[1]:
        data = dilated_depthwise(data, weight, dilation, padding)
    else:
        data = F.conv2d(
            data.contiguous(memory_format=torch.channels_last),
            weight,
            bias,
            stride=(1, stride),
            padding=(0, padding),
            dilation=(1, dilation),
            groups=groups,
        )
    return Signal(data, lengths_after(x.lengths, kernel, stride, dilation, padding))


def dilated_depthwise(x: Tensor, weight: Tensor, dilation: int, padding: int) -> Tensor:
    """y[b, c, t] = sum_k w[c, k] x[b, c, t + d k - p] as d convolutions without dilation, one per phase t mod d.

    x [B, C, 1, T], weight [C, 1, 1, K]; returns [B, C, 1, T + 2 p - d (K - 1)], channels-last. torch has no fast kernel
    for dilated depthwise convolutions on a CPU: one such layer took as long as the rest of a QuartzNet.
    """
    batch, channels, _, frames = x.shape
    result = frames + 2 * padding - dilation * (weight.shape[3] - 1)
    # zeros behind the end make phases of equal length; no output that is kept reads them
    extra = -(frames + 2 * padding) % dilation
    rows = F.pad(x.permute(0, 2, 3, 1).squeeze(1), (0, 0, padding, padding + extra))  # [B, T + 2 p + extra, C]
    steps = rows.shape[1] // dilation
    phases = rows.view(batch, steps, dilation, channels).transpose(1, 2).reshape(batch * dilation, 1, steps, channels)
    y = F.conv2d(phases.permute(0, 3, 1, 2), weight, groups=channels).permute(0, 2, 3, 1)  # [B d, 1, T'', C]
    y = y.reshape(batch, dilation, -1, channels).transpose(1, 2).reshape(batch, -1, channels)
    return y[:, :result].unsqueeze(1).permute(0, 3, 1, 2)


def _conv2d(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    x, weight, bias = operands[0], constants[0], constants[1] if len(constants) > 1 else None
    stride, padding, kernel = node.integer("stride_t"), node.integer("padding_t"), weight.shape[3]
    data = frames_of_operand(x, bool(node.integer("masked")))
    batch, channels, _, frames = data.shape
    if output_length(frames, kernel, stride, 1, padding) < 1:
        raise GraphError(f"node {node.output!r}: {frames} frames are too few for its kernel; give a longer input")
    height = node.integer("height")
    maps = data.reshape(batch, channels // height, height, frames)
    y = F.conv2d(
        maps,
        weight,
        bias,
        stride=(node.integer("stride_h"), stride),
        padding=(node.integer("padding_h"), padding),
        groups=node.integer("groups"),
    )
    return Signal(y.reshape(batch, -1, 1, y.shape[3]), lengths_after(x.lengths, kernel, stride, 1, padding))


def _batch_norm(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    mean, var, gamma, beta = constants
    x = operands[0]
    return Signal(F.batch_norm(x.data, mean, var, gamma, beta, training=False, eps=_real(node, "eps")), x.lengths)


def _layer_norm(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    x = operands[0]
    gamma, beta = (*constants, None, None)[:2]
    rows = to_frames(x.data)
    return Signal(from_frames(F.layer_norm(rows, rows.shape[2:], gamma, beta, _real(node, "eps"))), x.lengths)


def _add(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    total = operands[0].data
    for operand in operands[1:]:
        total = total + operand.data
    return Signal(total, operands[0].lengths)


def _multiply(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    return Signal(operands[0].data * operands[1].data, operands[0].lengths)


def _glu(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    return Signal(operands[0].data * torch.sigmoid(operands[1].data), operands[0].lengths)


def _scale(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    return Signal(operands[0].data * _real(node, "factor"), operands[0].lengths)


def _add_bias(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    return Signal(operands[0].data + constants[0].view(1, -1, 1, 1), operands[0].lengths)


def _mean(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    x = operands[0]
    if x.lengths is None:
        return Signal(x.data.mean(dim=3, keepdim=True), None)
    total = frames_of_operand(x, masked=True).sum(dim=3, keepdim=True)
    return Signal(total / x.lengths.view(-1, 1, 1, 1), None)


def _positions(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    _, channels, _, frames = operands[0].data.shape
    table = relative_positions(channels, frames).to(operands[0].data)
    return Signal(from_frames(table.unsqueeze(0)), None)


def relative_positions(channels: int, frames: int) -> Tensor:
    """float32 [2T - 1, D]: sin and cos of p / 10000^(2d/D) in columns 2d and 2d + 1, p = T - 1 .. -(T - 1).

    In float32 throughout, as NeMo 3.0.0 computes them (Dai et al. 2019, appendix B).
    """
    positions = torch.arange(frames - 1, -frames, -1, dtype=torch.float32).unsqueeze(1)
    rates = torch.exp(torch.arange(0, channels, 2, dtype=torch.float32) * -(math.log(10000.0) / channels))
    angles = positions * rates
    return torch.stack((torch.sin(angles), torch.cos(angles)), dim=2).reshape(2 * frames - 1, channels)


def _attention(node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
    heads, lengths = node.integer("heads"), operands[0].lengths
    qu, qv, k, v, p = (_by_head(operand.data, heads) for operand in operands)  # [B, H, T, dk]
    scores = (qu @ k.transpose(2, 3) + shift_relative(qv @ p.transpose(2, 3))) / math.sqrt(qu.shape[3])
    if lengths is not None:
        scores = scores.masked_fill(~inside(lengths, scores.shape[3]), -math.inf)
    y = torch.softmax(scores, dim=3) @ v
    return Signal(from_frames(y.transpose(1, 2).flatten(2)), lengths)


def _by_head(data: Tensor, heads: int) -> Tensor:
    """[B, C, 1, T] -> [B, heads, T, C / heads]."""
    rows = to_frames(data)
    return rows.view(*rows.shape[:2], heads, -1).transpose(1, 2)


def shift_relative(scores: Tensor) -> Tensor:
    """y[.., i, j] = scores[.., i, T - 1 - i + j], [B, H, T, 2T - 1] -> [B, H, T, T]: a view, nothing is copied.

    In memory row i of the result begins (T - 1) + i (2T - 2) numbers behind the first: rows of length 2T - 2.
    """
    batch, heads, frames, _ = scores.shape
    if frames == 1:
        return scores
    flat = scores.flatten(2)[:, :, frames - 1 : frames - 1 + frames * (2 * frames - 2)]
    return flat.view(batch, heads, frames, 2 * frames - 2)[..., :frames]


def _real(node: Node, name: str) -> float:
    value = node.attrs[name]
    assert isinstance(value, float)
    return value


def _elementwise(function: Callable[[Tensor], Tensor]) -> Operation:
    return lambda node, operands, constants: Signal(function(operands[0].data), operands[0].lengths)


OPERATIONS: Mapping[str, Operation] = {
    "conv1d": _conv1d,
    "conv2d": _conv2d,
    "batch_norm": _batch_norm,
    "layer_norm": _layer_norm,
    "relu": _elementwise(F.relu),
    "sigmoid": _elementwise(torch.sigmoid),
    "tanh": _elementwise(torch.tanh),
    "swish": _elementwise(F.silu),
    "gelu": _elementwise(F.gelu),
    "glu": _glu,
    "add": _add,
    "multiply": _multiply,
    "scale": _scale,
    "add_bias": _add_bias,
    "mean": _mean,
    "positions": _positions,
    "attention": _attention,
}
"""All operations of the float dialect."""
