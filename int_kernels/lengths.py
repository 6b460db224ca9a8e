"""How long a value is, as a function of the input's length (SPEC 3)."""

from __future__ import annotations

from dataclasses import dataclass

MAX_FRAMES = 1 << 20  # of an input
MAX_OFFSET = 1 << 24
MAX_ELEMENTS = (1 << 31) - 1  # of one value


@dataclass(frozen=True)
class Length:
    """T -> floor((T + offset) / stride), T the input's frames.

    The form is closed under convolution: floor((floor((T + o) / s) + a) / r) = floor((T + o + s*a) / (s*r)).
    Two values are equally long for every T exactly when their offsets and strides are equal.
    """

    offset: int = 0
    stride: int = 1

    def of(self, frames: int) -> int:
        """The length in frames for an input of `frames`; below 1 when the input is too short."""
        return (frames + self.offset) // self.stride

    def after_conv(self, kernel: int, stride: int, dilation: int, padding: int) -> Length:
        """L -> floor((L + 2*padding - dilation*(kernel - 1) - 1) / stride) + 1."""
        added = 2 * padding - dilation * (kernel - 1) - 1 + stride
        return Length(self.offset + self.stride * added, self.stride * stride)

    @property
    def shortest_input(self) -> int:
        """The fewest input frames that leave at least one frame here."""
        return self.stride - self.offset

    def longest_input(self, frames: int) -> int:
        """The most input frames that leave at most `frames` here."""
        return frames * self.stride + self.stride - 1 - self.offset
