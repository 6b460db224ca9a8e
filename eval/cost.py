"""The cost of a network: multiply-accumulates, bit operations and bytes, computed from sizes alone."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from eval.errors import EvalError


@dataclass(frozen=True)
class ConvCost:
    """One convolution at one length: weight [C_out, C_in / groups, K], evaluated at `frames_out` positions.

    In two dimensions K is KH * KT, and the positions are rows times frames. Raises EvalError unless sizes are positive.
    """

    out_channels: int
    in_channels_per_group: int
    kernel: int
    frames_out: int
    weight_bits: int = 32
    activation_bits: int = 32

    def __post_init__(self) -> None:
        _check_positive(self, may_be_zero="frames_out")

    @property
    def weights(self) -> int:
        """C_out * C_in / groups * K."""
        return self.out_channels * self.in_channels_per_group * self.kernel

    @property
    def macs(self) -> int:
        """weights * frames_out: each weight is used once per output frame, also where it meets padding."""
        return self.weights * self.frames_out

    @property
    def bops(self) -> int:
        """macs * weight_bits * activation_bits (Kim et al. 2021, table 1; van Baalen et al. 2020)."""
        return self.macs * self.weight_bits * self.activation_bits


@dataclass(frozen=True)
class ProductCost:
    """One product of two activations, [rows, inner] times [inner, columns], such as those of attention."""

    rows: int
    inner: int
    columns: int
    left_bits: int = 32
    right_bits: int = 32

    def __post_init__(self) -> None:
        _check_positive(self)

    @property
    def macs(self) -> int:
        """rows * inner * columns."""
        return self.rows * self.inner * self.columns

    @property
    def bops(self) -> int:
        """macs * left_bits * right_bits."""
        return self.macs * self.left_bits * self.right_bits


def frames_of(seconds: float, hop_ms: float = 10.0) -> int:
    """Return floor(seconds / hop) + 1, e.g. 1001 frames for 10 s; the first frame is centred on the first sample.

    Raises EvalError.
    """
    if not seconds >= 0.0 or not hop_ms > 0.0:
        raise EvalError(f"frames_of: expected seconds >= 0 and hop_ms > 0, got {seconds} and {hop_ms}")
    # The margin of 0.01 hop absorbs the rounding error of e.g. 0.29 s / 10 ms.
    return int(seconds * 1000.0 / hop_ms + 0.01) + 1


def conv_frames_out(frames: int, kernel: int, stride: int = 1, dilation: int = 1, padding: int = 0) -> int:
    """Return floor((T + 2 * padding - dilation * (K - 1) - 1) / stride) + 1, at least 0."""
    return max(0, (frames + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1)


def total_macs(costs: Iterable[ConvCost | ProductCost]) -> int:
    """Return the sum of the multiply-accumulates."""
    return sum(cost.macs for cost in costs)


def total_bops(costs: Iterable[ConvCost | ProductCost]) -> int:
    """Return the sum of the bit operations."""
    return sum(cost.bops for cost in costs)


def packed_bytes(count: int, bits: int) -> int:
    """Return ceil(count * bits / 8), the bytes of `count` values of `bits` bits without gaps. Raises EvalError."""
    if count < 0 or not 1 <= bits <= 64:
        raise EvalError(f"packed_bytes: expected count >= 0 and 1 to 64 bits, got {count} values of {bits} bits")
    return -(-count * bits // 8)


def _check_positive(cost: ConvCost | ProductCost, may_be_zero: str = "") -> None:
    for name, value in vars(cost).items():
        if value < 0 or (value == 0 and name != may_be_zero):
            raise EvalError(f"{type(cost).__name__}: expected a positive {name}, got {value}")
