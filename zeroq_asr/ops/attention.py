"""attention: multi-head self-attention with relative positions (Dai et al. 2019), as Conformers have it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from int_kernels import Attention as AttentionStep
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.base import FRAMES, POSITIONS, Op, require
from zeroq_asr.ops.lowering import Lowering, clip_of
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal, frames_within, from_frames, to_frames
from zeroq_asr.ops.simulation import dyadic_column, rounded
from zeroq_asr.quant.fit_dyadic import fit_affine, fit_dyadic

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody

_SCORE_ONE = 1 << 16
"""One octave of a score."""

_VALUE_ONE = 1 << 15
"""The kernel's weighted mean of v is in 1/32768 of a code."""


class Attention(Op):
    """Operands (qu, qv, k, v, p): queries with either bias, keys, values [D, T], projected positions [D, 2T - 1]."""

    name = "attention"
    meaning = (
        "of (qu, qv, k, v, p), p [D, 2T - 1]: softmax over j of (qu_i . k_j + qv_i . p_(T-1-i+j)) / sqrt(D / heads), "
        "times v_j, per head; only frames within the row's length count"
    )
    operands = 5
    attributes: ClassVar[Mapping[str, type]] = {"heads": int}
    reads_codes = True

    def check(self, where: str, node: Node, channels: Sequence[int], out: int, constants: Mapping[str, Array]) -> None:
        super().check(where, node, channels, out, constants)
        heads = node.integer("heads")
        require(out % heads == 0, where, "heads that divide the channels", f"{heads} heads, {out} channels")

    def length_kind(self, where: str, node: Node, kinds: Sequence[str], constants: Mapping[str, Array]) -> str:
        expected = [FRAMES] * 4 + [POSITIONS]
        require(list(kinds) == expected, where, "four operands of frames and one of positions", ", ".join(kinds))
        return FRAMES

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        qu, qv, k, v, p = node.inputs
        return {qu: 1, qv: 1, k: -1, p: -1}, {v: 1, node.output: 1}

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        import torch

        heads, lengths = node.integer("heads"), operands[0].lengths
        qu, qv, k, v, p = (_by_head(operand.data, heads) for operand in operands)  # [B, H, T, dk]
        scores = (qu @ k.transpose(2, 3) + shift_relative(qv @ p.transpose(2, 3))) / math.sqrt(qu.shape[3])
        if lengths is not None:
            scores = scores.masked_fill(~frames_within(lengths, scores.shape[3]), -math.inf)
        y = torch.softmax(scores, dim=3) @ v
        return Signal(from_frames(y.transpose(1, 2).flatten(2)), lengths)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        """Those of v: a weighted mean cannot leave its range."""
        return operands[3]

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """Scores in 1/65536 octaves: log2(e) / sqrt(d_k) (S_qu S_k A + S_qv S_p B), A and B the int32 products."""
        params, channels, heads = state.code(name), state.channels(name), node.integer("heads")
        qu, qv, k, v, p = (state.operand(operand) for operand in node.inputs)
        per_head = channels // heads
        octave = _SCORE_ONE * math.log2(math.e) / math.sqrt(per_head)
        content = octave * state.one_scale(qu.name, node) * state.one_scale(k.name, node)
        position = octave * state.one_scale(qv.name, node) * state.one_scale(p.name, node)
        reach = [[per_head * a.reach[0] * b.reach[0]] for a, b in ((qu, k), (qv, p))]
        factors, shift, _ = fit_affine(name, np.array([[content], [position]]), np.zeros(1), reach)
        rescale = fit_dyadic(name, v.scales / (_VALUE_ONE * params.scales(channels)))
        content_factors, position_factors = (np.full(heads, factor[0], np.int32) for factor in factors)
        step = AttentionStep(
            *(qu.name, qv.name, k.name, v.name, p.name),
            name,
            heads,
            content_factors,
            position_factors,
            int(shift[0]),
            rescale,
            clip_of(params),
            origin=node.origin,
        )
        state.emit(step, channels, params.type)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        y, heads = node.output, node.integer("heads")
        width = body.graph.values[y].channels // heads
        qu, qv, k, v, p = (
            body.reshape(x, f"{y}.{role}", 0, heads, width, -1)
            for role, x in zip(("qu", "qv", "k", "v", "p"), node.inputs, strict=True)
        )  # [B, H, dk, T]
        content = body.emit("MatMul", [body.transpose(qu, f"{y}.qu.rows", 0, 1, 3, 2), k], f"{y}.content")
        position = body.emit("MatMul", [body.transpose(qv, f"{y}.qv.rows", 0, 1, 3, 2), p], f"{y}.position")
        scores = body.emit("Add", [content, _onnx_shift(body, node, position)], f"{y}.sum")
        scores = body.emit("Mul", [scores, body.constant(f"{y}.root", width**-0.5)], f"{y}.scores")
        weights = body.emit("Softmax", [scores], f"{y}.weights", axis=-1)
        made = body.emit("MatMul", [weights, body.transpose(v, f"{y}.v.rows", 0, 1, 3, 2)], f"{y}.heads")
        body.reshape(body.transpose(made, f"{y}.columns", 0, 1, 3, 2), y, 0, heads * width, 1, -1)


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


def _onnx_shift(body: OnnxBody, node: Node, position: str) -> str:
    """y[.., i, j] = position[.., i, T - 1 - i + j], [B, H, T, 2T - 1] -> [B, H, T, T]."""
    y, heads = node.output, node.integer("heads")
    if body.lengths is not None:
        frames = body.lengths[y]
        if frames == 1:
            return position
        # Row i of the result begins (T - 1) + i (2T - 2) numbers behind the first.
        flat, row = body.reshape(position, f"{y}.flat", 0, heads, -1), 2 * frames - 2
        rows = body.cut(flat, f"{y}.behind", frames - 1, frames - 1 + frames * row, 2)
        return body.cut(body.reshape(rows, f"{y}.rows", 0, heads, frames, row), f"{y}.shifted", 0, frames, 3)
    # With a column of zeros behind it, (T - 1) + i (2T - 1), for T = 1 too; the last number is not needed.
    frames_now, one = body.length(node.inputs[0], f"{y}.length"), body.constant(f"{y}.one", [1], np.int64)
    column = body.constant(f"{y}.column", [0, 0, 0, 0, 0, 0, 0, 1], np.int64)
    flat = body.reshape(body.emit("Pad", [position, column], f"{y}.padded"), f"{y}.flat", 0, heads, -1)
    start, last = body.emit("Sub", [frames_now, one], f"{y}.start"), body.constant(f"{y}.last", [-1], np.int64)
    rows = body.emit("Slice", [flat, start, last, body.constant(f"{y}.along", [2], np.int64)], f"{y}.behind")
    sizes = [body.constant(f"{y}.batch", [0, heads], np.int64), frames_now, last]
    rows = body.emit("Reshape", [rows, body.emit("Concat", sizes, f"{y}.sizes", axis=0)], f"{y}.rows")
    bounds = [body.constant(f"{y}.begin", [0], np.int64), frames_now, body.constant(f"{y}.across", [3], np.int64)]
    return body.emit("Slice", [rows, *bounds], f"{y}.shifted")


def simulate(step: AttentionStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64, with a real softmax."""
    import torch

    content, position = (torch.tensor(array.astype(np.float64)) for array in (step.content, step.position))
    heads, frames = step.heads, xs[0].shape[1]
    qu, qv, k, v, p = (x.reshape(heads, -1, x.shape[1]) for x in xs)  # [H, dk, T]
    octaves = 2.0 ** -(step.shift + 16)
    relative = torch.arange(frames) - torch.arange(frames)[:, None] + frames - 1  # T - 1 - i + j
    by_position = (qv.transpose(1, 2) @ p).gather(2, relative.expand(heads, -1, -1))
    scores = qu.transpose(1, 2) @ k * content[:, None, None] + by_position * position[:, None, None]
    weights = torch.softmax(scores * (octaves * math.log(2)), dim=2)
    mean = (v @ weights.transpose(1, 2)).flatten(0, 1)
    return rounded(_VALUE_ONE * mean * dyadic_column(step.rescale.multiplier, step.rescale.shift), step.clip)


OPS = (Attention(),)
SIMULATIONS = {AttentionStep: simulate}
