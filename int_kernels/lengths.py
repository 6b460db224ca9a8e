"""How long a value is, as a function of the input's length (SPEC 3)."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, TypeAlias

from int_kernels.errors import KernelError

MAX_FRAMES = 1 << 20  # of an input
MAX_OFFSET = 1 << 24
MAX_ELEMENTS = (1 << 31) - 1  # of one value

LengthKind: TypeAlias = Literal["frames", "positions", "once"]
LENGTH_KINDS: tuple[LengthKind, ...] = ("frames", "positions", "once")


@dataclass(frozen=True)
class Length:
    """T -> L = floor((T + offset) / stride) frames, or 2L - 1 relative positions, or 1 (*once*); T the input's frames.

    The form is closed under convolution: floor((floor((T + o) / s) + a) / r) = floor((T + o + s*a) / (s*r)).
    Two values are equally long for every T exactly when kind, offset and stride are equal; *once* has offset 0 and
    stride 1. Raises KernelError for another kind.
    """

    offset: int = 0
    stride: int = 1
    kind: LengthKind = "frames"

    def __post_init__(self) -> None:
        if self.kind not in LENGTH_KINDS:
            raise KernelError(f"Length kind: expected one of {', '.join(LENGTH_KINDS)}, got {self.kind!r}")

    def of(self, frames: int) -> int:
        """The length for an input of `frames`; below 1 when the input is too short."""
        if self.kind == "once":
            return 1
        count = (frames + self.offset) // self.stride
        return count if self.kind == "frames" else 2 * count - 1

    def after_conv(self, kernel: int, stride: int, dilation: int, padding: int) -> Length:
        """L -> floor((L + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1, of the same kind."""
        added = 2 * padding - dilation * (kernel - 1) - 1 + stride
        return replace(self, offset=self.offset + self.stride * added, stride=self.stride * stride)

    @property
    def positions(self) -> Length:
        """2L - 1 for the L of this length in frames."""
        return replace(self, kind="positions")

    @property
    def shortest_input(self) -> int:
        """The fewest input frames that leave at least one frame here."""
        return self.stride - self.offset

    def longest_input(self, length: int) -> int:
        """The most input frames that leave a length of at most `length` here; 2^20 for *once*."""
        if self.kind == "once":
            return MAX_FRAMES
        frames = length if self.kind == "frames" else (length + 1) // 2
        return frames * self.stride + self.stride - 1 - self.offset

    def __str__(self) -> str:
        if self.kind == "once":
            return "once"
        return f"{self.kind} of floor((T + {self.offset}) / {self.stride})"


ONCE = Length(kind="once")
