"""positions: the sinusoids of relative positions (Dai et al. 2019, appendix B), which depend on the length alone."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar

import numpy as np

from int_kernels import Positions as PositionsStep
from int_kernels.int_type import INT8
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.base import FRAMES, POSITIONS, Op, require
from zeroq_asr.ops.lowering import Lowering
from zeroq_asr.ops.moments import ChannelMoments, Reals
from zeroq_asr.ops.signals import Signal, from_frames
from zeroq_asr.quant.sinusoids import sinusoid_tables

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody


class Positions(Op):
    """[D, 2T - 1] for T frames of x, of which only the length is read."""

    name = "positions"
    meaning = (
        "[D, 2T - 1]: channels 2d and 2d + 1 are sin and cos of p / 10000^(2d/D) for p = T - 1 .. -(T - 1); reads only "
        "the length of x"
    )
    attributes: ClassVar[Mapping[str, type]] = {"max_frames": int}
    rounds_itself = True  # reads no number at all

    def check(self, where: str, node: Node, channels: Sequence[int], out: int, constants: Mapping[str, Array]) -> None:
        super().check(where, node, channels, out, constants)
        require(out % 2 == 0, where, "an even number of channels", out)

    def length_kind(self, where: str, node: Node, kinds: Sequence[str], constants: Mapping[str, Array]) -> str:
        require(kinds[0] == FRAMES, where, "an operand of frames", kinds[0])
        return POSITIONS

    def frames(self, graph: Graph, node: Node, frames: int) -> int:
        return 2 * frames - 1

    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        _, channels, _, frames = operands[0].data.shape
        table = relative_positions(channels, frames).to(operands[0].data)
        return Signal(from_frames(table.unsqueeze(0)), None)

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        one = np.ones(graph.values[node.output].channels)
        return ChannelMoments(0 * one, one / 2, -one, one)

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """The sinusoids in 1/127."""
        channels = state.channels(name)
        fine, coarse = sinusoid_tables(channels, node.integer("max_frames"))
        state.emit(PositionsStep(node.inputs[0], name, fine, coarse, origin=node.origin), channels, INT8)

    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        """Column k, row 2d + j: sin (j = 0) or cos (j = 1) of p / 10000^(2d / D), p = T - 1 - k."""
        y, channels = node.output, body.graph.values[node.output].channels
        periods = np.exp(np.arange(0, channels, 2) * (math.log(10000.0) / channels))
        if body.lengths is not None:
            frames = body.lengths[node.inputs[0]]
            angles = np.arange(frames - 1, -frames, -1) / periods[:, None]  # [D / 2, 2T - 1]
            table = np.stack((np.sin(angles), np.cos(angles)), axis=1).reshape(1, channels, 1, -1)
            body.emit("Identity", [body.constant(f"{y}.table", table)], y)
            return
        one, axis = body.constant(f"{y}.one", 1, np.int64), body.constant(f"{y}.axis", [0], np.int64)
        frames_now = body.emit("Squeeze", [body.length(node.inputs[0], f"{y}.length"), axis], f"{y}.frames")
        first = body.emit("Sub", [frames_now, one], f"{y}.first")
        end, step = body.emit("Neg", [frames_now], f"{y}.end"), body.constant(f"{y}.step", -1, np.int64)
        counted = body.emit("Range", [first, end, step], f"{y}.range")
        places = body.emit("Cast", [counted], f"{y}.places", to=body.FLOAT)
        # A division: programs that quantize take multiplications, and an angle of 8 bits is none.
        angle = body.emit("Div", [places, body.constant(f"{y}.periods", periods.reshape(1, -1, 1, 1))], f"{y}.angles")
        waves = [body.emit(function, [angle], f"{y}.{function.lower()}") for function in ("Sin", "Cos")]
        body.reshape(body.emit("Concat", waves, f"{y}.waves", axis=2), y, 1, channels, 1, -1)


def relative_positions(channels: int, frames: int) -> Tensor:
    """float32 [2T - 1, D]: sin and cos of p / 10000^(2d/D) in columns 2d and 2d + 1, p = T - 1 .. -(T - 1).

    In float32 throughout, as NeMo 3.0.0 computes them.
    """
    import torch

    positions = torch.arange(frames - 1, -frames, -1, dtype=torch.float32).unsqueeze(1)
    rates = torch.exp(torch.arange(0, channels, 2, dtype=torch.float32) * -(math.log(10000.0) / channels))
    angles = positions * rates
    return torch.stack((torch.sin(angles), torch.cos(angles)), dim=2).reshape(2 * frames - 1, channels)


def simulate(step: PositionsStep, xs: Sequence[Tensor]) -> Tensor:
    """The integer step in float64, with real sines: floor(127 w + 1/2)."""
    import torch

    pairs, frames = step.fine.shape[1], xs[0].shape[1]
    rates = 10000.0 ** (-torch.arange(pairs, dtype=torch.float64) / pairs)
    angles = rates[:, None] * torch.arange(frames - 1, -frames, -1, dtype=torch.float64)
    return torch.floor(127 * torch.stack((angles.sin(), angles.cos()), dim=1).flatten(0, 1) + 0.5)


OPS = (Positions(),)
SIMULATIONS = {PositionsStep: simulate}
