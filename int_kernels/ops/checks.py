"""Checks that several operations share. Each takes `where`, the operation and its value, for the message."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.fixed_point import MAX_SHIFT
from int_kernels.limits import MAX_EXTENT
from int_kernels.validation import IntegerArray, integer_array

Clip: TypeAlias = tuple[int, int] | None


def require_integer(where: str, name: str, value: Any, least: int, most: int) -> None:
    """Raises RangeError unless `value` is an integer from `least` to `most`."""
    if not _is_int(value) or not least <= value <= most:
        raise RangeError(f"{where} {name}: expected an integer from {least} to {most}, got {value!r}")


def require_pair(where: str, name: str, value: Any, least: int) -> None:
    """Raises RangeError unless `value` is (rows, frames), two integers from `least` to 2^15."""
    if not isinstance(value, tuple) or len(value) != 2:
        raise RangeError(f"{where} {name}: expected two integers (rows, frames), got {value!r}")
    for number in value:
        require_integer(where, name, number, least, MAX_EXTENT)


def require_groups(where: str, groups: Any, channels: int) -> None:
    """Raises ShapeError unless `groups` divides the output channels."""
    if not _is_int(groups) or groups < 1 or channels % groups:
        raise ShapeError(f"{where} groups: expected a divisor of {channels} output channels, got {groups!r}")


def require_names(where: str, xs: Any) -> tuple[str, ...]:
    """`xs` as a tuple of names. Raises KernelError for a single text."""
    if isinstance(xs, str):
        raise KernelError(f"{where} xs: expected a tuple of names, got the text {xs!r}")
    return tuple(xs)


def checked_clip(where: str, clip: Any) -> Clip:
    """`clip` as two Python integers, or None. Raises RangeError."""
    if clip is None:
        return None
    if not (isinstance(clip, tuple) and len(clip) == 2 and all(map(_is_int, clip)) and clip[0] <= clip[1]):
        raise RangeError(f"{where} clip: expected two integers (lo, hi) with lo <= hi, got {clip!r}")
    return int(clip[0]), int(clip[1])


def checked_bias(where: str, bias: Any, dtype: type[np.signedinteger[Any]], channels: int) -> NDArray[Any]:
    """A read-only copy of `bias` [channels]. Raises ShapeError, RangeError."""
    copy = integer_array(bias, dtype, 1, f"{where} bias")
    if copy.shape != (channels,):
        raise ShapeError(f"{where} bias: expected [{channels}], one per output channel, got {list(copy.shape)}")
    return copy


def checked_shift(where: str, shift: Any) -> NDArray[np.int8]:
    """A read-only copy of `shift` [C], each 1 to 62. Raises ShapeError, RangeError."""
    copy = integer_array(shift, np.int8, 1, f"{where} shift")
    if copy.size and (copy.min() < 1 or copy.max() > MAX_SHIFT):
        raise RangeError(f"{where}: expected shifts of 1 to {MAX_SHIFT}, got shifts {copy.min()} to {copy.max()}")
    return copy


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def checked_weight_bits(where: str, bits: Any, weight: IntegerArray) -> None:
    """Raises RangeError unless `bits` is 2 to 8 and every weight fits into that many."""
    require_integer(where, "weight_bits", bits, 2, 8)
    most = (1 << (bits - 1)) - 1
    if bits < 8 and (weight.min() < -most - 1 or weight.max() > most):
        raise RangeError(
            f"{where} weight_bits: expected weights of {bits} bits, {-most - 1} to {most}, got {weight.min()} to "
            f"{weight.max()}"
        )


def checked_text(where: str, name: str, value: Any) -> None:
    """Raises KernelError unless `value` is a str."""
    if not isinstance(value, str):
        raise KernelError(f"{where} {name}: expected a text, got {value!r:.60}")
