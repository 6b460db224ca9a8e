"""What the framework must know about an operation of float graphs: the class that every file of this package fills in.

One file per operation holds its contract, shape rule, torch rule, moments, lowering and ONNX form. To add one, add a
file: `zeroq_asr.ops` finds it (docs/how-to/add-an-op.md).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.moments import ChannelMoments, Reals

if TYPE_CHECKING:
    from torch import Tensor

    from zeroq_asr.exporters.onnx_body import OnnxBody
    from zeroq_asr.ops.lowering import Lowering
    from zeroq_asr.ops.signals import Signal

FRAMES, POSITIONS, ONCE = "frames", "positions", "once"
"""Kinds of lengths: T; 2 T - 1, the relative positions of T frames; 1."""

_PER_CHANNEL = ("bias", "mean", "var", "gamma", "beta")
"""Constants with one number per output channel."""


class Op(ABC):
    """One operation. Its value is [B, channels, T]; `node` is a Node with this `op`.

    operands: how many values a node reads, None for one or more. constants: their roles, in the order in which they
    follow the operands; the last `optional` ones may be omitted. attributes: name -> type. meaning: the formula.
    """

    name: ClassVar[str]
    meaning: ClassVar[str]
    operands: ClassVar[int | None] = 1
    constants: ClassVar[tuple[str, ...]] = ()
    optional: ClassVar[int] = 0
    attributes: ClassVar[Mapping[str, type]] = {}

    # What decides which integers its operands and its value become (zeroq_asr.analyses.roles).
    is_convolution: ClassVar[bool] = False
    is_activation: ClassVar[bool] = False  # a polynomial on an accumulator, or a table of codes
    reads_codes: ClassVar[bool] = False  # of at most 8 bits
    rounds_itself: ClassVar[bool] = False  # reads int32 accumulators as they are
    is_nonnegative: ClassVar[bool] = False  # no value below 0
    is_heavy_tailed: ClassVar[bool] = False  # rare large values carry meaning and must not be clipped
    keeps_scale: ClassVar[bool] = False  # the value has scale and type of its operand, which reads_codes

    factored: ClassVar[tuple[str, ...]] = ()  # constants that take the factors of the value (`factor_ties`)

    def check(self, where: str, node: Node, channels: Sequence[int], out: int, constants: Mapping[str, Array]) -> None:
        """Raise GraphError unless channels, constants and attributes fit together.

        channels: of the operands; out: of the value; constants: by role.
        """
        require(all(count == out for count in channels), where, f"operands of {out} channels", list(channels))
        check_per_channel(where, constants, out)

    def length_kind(self, where: str, node: Node, kinds: Sequence[str], constants: Mapping[str, Array]) -> str:
        """Return the kind of length of the value, from those of the operands. Raises GraphError."""
        require(len(set(kinds)) == 1, where, "operands of one kind of length", ", ".join(kinds))
        return kinds[0]

    def factor_ties(self, node: Node) -> Sequence[Mapping[str, int]]:
        """Return how factors per channel move through: each entry names values and exponents, 1 or -1.

        Multiplying the values of an entry by f_c^exponent keeps the node's equation, for any f_c > 0. Constants that
        take f_c with the value are `factored`. Values in no entry have no free factor, except those of a convolution,
        whose weights absorb any.
        """
        return ()

    def frames(self, graph: Graph, node: Node, frames: int) -> int:
        """Return T of the value when the first operand has `frames` frames."""
        return frames

    @abstractmethod
    def forward(self, node: Node, operands: Sequence[Signal], constants: Sequence[Tensor]) -> Signal:
        """Return the value in torch, [B, C, 1, T] as its operands are."""

    def moments(
        self, graph: Graph, node: Node, operands: Sequence[ChannelMoments], constants: Sequence[Reals]
    ) -> ChannelMoments:
        """Return mean, variance and range of the value, its operands taken to be independent normal variables."""
        raise GraphError(f"node {node.output!r}: {self.name!r} has no rule for means and variances")

    def lower(self, state: Lowering, node: Node, name: str, relu: bool) -> None:
        """Emit the integer steps that store `name`: the value of `node`, or with `relu` the ReLU of it that is fused.

        Raises GraphError, QuantizationError.
        """
        raise GraphError(f"node {node.output!r}: {self.name!r} has no integer form; canonicalize the graph first")

    @abstractmethod
    def to_onnx(self, body: OnnxBody, node: Node) -> None:
        """Emit the ONNX nodes (opset 17) that make the value of `node`, [B, C, 1, T]."""


def one_factor(node: Node, operands: int | None = None) -> Sequence[Mapping[str, int]]:
    """Return the ties of a node whose first `operands` operands (None: all) and value have one factor per channel."""
    if operands is not None and set(node.inputs[:operands]) & set(node.inputs[operands:]):
        return ()  # x * x
    return (dict.fromkeys((*node.inputs[:operands], node.output), 1),)


def check_per_channel(where: str, constants: Mapping[str, Array], channels: int) -> None:
    """Raise GraphError unless constants with one number per channel have `channels` of them."""
    for role, array in constants.items():
        if role in _PER_CHANNEL:
            require(array.shape == (channels,), where, f"{role} [{channels}]", array.shape)


def require(condition: bool, where: str, expected: str, got: object) -> None:
    """Raise GraphError unless `condition` holds; only then is `got` formatted."""
    if not condition:
        raise GraphError(f"{where}: expected {expected}, got {got}")


def real_attribute(node: Node, name: str) -> float:
    """Return the real attribute `name` (the verifier has checked that it is there)."""
    value: Any = node.attrs[name]
    assert isinstance(value, float)
    return value


def output_length(frames: int, kernel: int, stride: int, dilation: int, padding: int) -> int:
    """Return T_out = (T + 2 padding - dilation (K - 1) - 1) // stride + 1; 0 or less where the input is too short."""
    return (frames + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
