"""The values proved so far, and the checks that several proofs share (SPEC 5)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from int_kernels.bounds import Bounds, wide_sum
from int_kernels.dyadic import Dyadic
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.int_type import IntType
from int_kernels.lengths import MAX_FRAMES, Length
from int_kernels.ops.checks import Clip
from int_kernels.validation import IntegerArray
from int_kernels.values import ValueSpec

INT31 = 1 << 31


@dataclass
class ProofContext:
    """The values of a program, and of those made so far the length and the exact range (int64 [C], int64 [C])."""

    specs: Mapping[str, ValueSpec]
    lengths: dict[str, Length] = field(default_factory=dict)
    ranges: dict[str, Bounds] = field(default_factory=dict)
    longest_input: int = MAX_FRAMES

    def limit_frames(self, name: str, frames: int) -> None:
        """From here on `name` is at most `frames` long, whatever the input."""
        self.longest_input = min(self.longest_input, self.lengths[name].longest_input(frames))


def require_channels(where: str, spec: ValueSpec, channels: int) -> None:
    """Raises ShapeError unless `spec` has that many channels."""
    if spec.channels != channels:
        raise ShapeError(f"{where}: expected '{spec.name}' with {channels} channels; it has {spec.channels}")


def require_code(where: str, role: str, spec: ValueSpec) -> None:
    """Raises KernelError unless `spec` has a type of at most 8 bits."""
    if not spec.type.is_code:
        raise KernelError(
            f"{where}: expected codes of at most 8 bits as {role}; '{spec.name}' is {spec.type}; rescale it by a Sum"
        )


def require_narrow(where: str, role: str, spec: ValueSpec) -> None:
    """Raises KernelError unless `spec` holds codes or int16."""
    if spec.type.bits > 16:
        raise KernelError(
            f"{where}: expected codes or int16 as {role}; '{spec.name}' is {spec.type}; rescale it by a Sum"
        )


def require_frames(where: str, name: str, length: Length) -> None:
    """Raises ShapeError unless the length counts frames."""
    if length.kind != "frames":
        raise ShapeError(f"{where}: expected '{name}' with a length of frames; it has {length}")


def require_same_length(where: str, names: Sequence[str], context: ProofContext) -> Length:
    """The one length of all `names`. Raises ShapeError."""
    first = context.lengths[names[0]]
    for name in names:
        if context.lengths[name] != first:
            raise ShapeError(
                f"{where}: expected inputs equally long for every T; '{names[0]}' has {first}, '{name}' has "
                f"{context.lengths[name]}; give both branches the same stride and matching padding"
            )
    return first


def require_dyadic(where: str, rescale: Dyadic, channels: int) -> None:
    """Raises ShapeError unless `rescale` has one number, or one for each channel."""
    if rescale.channels not in (1, channels):
        raise ShapeError(
            f"{where}: expected a rescale of 1 or {channels} multipliers, one per channel, got {rescale.channels}"
        )


def require_int64(
    where: str, what: str, low: Sequence[NDArray[np.int64]], high: Sequence[NDArray[np.int64]], shift: IntegerArray
) -> None:
    """Raises RangeError unless the sums of `low`, and of `high` with the rounding term 2^(r-1), lie in int64.

    low, high: terms int64 [C]; the low ones are at most 0 and the high ones at least 0, so every partial sum lies
    between the two.
    """
    half = np.int64(1) << (shift.astype(np.int64) - 1)
    least, most = wide_sum(low), wide_sum([*high, half])
    wrong = np.flatnonzero((least[0] < -INT31) | (most[0] >= INT31))
    if wrong.size:
        channel = int(wrong[0])
        worst = [(int(high[channel]) << 32) + int(low[channel]) for high, low in (least, most)]
        raise RangeError(
            f"{where} {what} {channel}: expected a sum within 64 bits; the worst case is {worst[0]} to {worst[1]}; "
            "lower the multipliers and the shift together"
        )


def type_range(channels: int, int_type: IntType) -> Bounds:
    """lo and hi of the type, for every channel."""
    return same_range(channels, int_type.lo, int_type.hi)


def same_range(channels: int, lo: int, hi: int) -> Bounds:
    """One range for every channel, read-only; a single number in memory, as most of a program's ranges are such."""
    return np.broadcast_to(np.int64(lo), channels), np.broadcast_to(np.int64(hi), channels)


def clip_range(where: str, clip: Clip, y: ValueSpec) -> Bounds:
    """lo and hi of the clip, for every channel of y. Raises RangeError for a clip outside y's type."""
    lo, hi = clip if clip is not None else (y.type.lo, y.type.hi)
    if lo < y.type.lo or hi > y.type.hi:
        raise RangeError(f"{where} clip: expected a part of {y.type}, {y.type.lo} to {y.type.hi}, got {lo} to {hi}")
    return same_range(y.channels, lo, hi)
