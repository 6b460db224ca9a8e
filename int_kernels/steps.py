"""The steps of a program: what each op needs, checked on its own (SPEC 4). `Program` checks how they fit together."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from int_kernels._door import integer_array
from int_kernels.dyadic import Dyadic
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.fixed_point import MAX_SHIFT

MAX_EXTENT = 1 << 15  # of kernel, stride, dilation and padding
MAX_CHANNELS = 1 << 16

Clip: TypeAlias = tuple[int, int] | None


@dataclass(frozen=True, eq=False)
class Conv1d:
    """y[o, t] = clip(rescale_o(acc[o, t])) with g = o // (C_out/groups) and

    acc[o, t] = bias[o] + sum over c, k of weight[o, c, k] * x[g*C_in/groups + c, t*stride + k*dilation - padding].

    weight: int8 [C_out, C_in/groups, K]; bias: int32 [C_out]; both are copied and read-only.
    rescale None: y is the raw int32 accumulator and clip must be None. Else y = clip((acc*m + 2^(r-1)) >> r), where
    clip defaults to the whole range of y's type; a ReLU is clip (0, hi).
    Raises ShapeError, RangeError.
    """

    x: str
    y: str
    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    stride: int = 1
    dilation: int = 1
    padding: int = 0
    groups: int = 1
    rescale: Dyadic | None = None
    clip: Clip = None

    def __post_init__(self) -> None:
        where = f"conv1d '{self.y}'"
        weight = integer_array(self.weight, np.int8, 3, f"{where} weight")
        bias = integer_array(self.bias, np.int32, 1, f"{where} bias")
        if weight.size == 0 or max(weight.shape[:2]) > MAX_CHANNELS or weight.shape[2] > MAX_EXTENT:
            raise ShapeError(
                f"{where} weight: needed [C_out, C_in/groups, K] with 1 to {MAX_CHANNELS} channels and "
                f"K of 1 to {MAX_EXTENT}; came {list(weight.shape)}"
            )
        if bias.shape != weight.shape[:1]:
            raise ShapeError(f"{where} bias: needed [{len(weight)}], one per output channel; came {list(bias.shape)}")
        _require_extent(where, "stride", self.stride, 1)
        _require_extent(where, "dilation", self.dilation, 1)
        _require_extent(where, "padding", self.padding, 0)
        if not _is_int(self.groups) or self.groups < 1 or len(weight) % self.groups:
            raise ShapeError(f"{where} groups: needed a divisor of {len(weight)} output channels; came {self.groups!r}")
        if self.rescale is not None:
            self.rescale.per_channel(len(weight))
        elif self.clip is not None:
            raise KernelError(f"{where}: needed no clip on a raw accumulator; came {self.clip!r}; give a rescale too")
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", bias)
        object.__setattr__(self, "clip", _clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)

    @property
    def channels_in(self) -> int:
        return int(self.weight.shape[1]) * self.groups

    @property
    def channels_out(self) -> int:
        return int(self.weight.shape[0])

    @property
    def kernel(self) -> int:
        return int(self.weight.shape[2])


@dataclass(frozen=True, eq=False)
class Sum:
    """y[c, t] = clip((sum over i of x_i[c, t] * m_i[c] + 2^(r[c]-1)) >> r[c]): one rounding for all branches.

    multipliers: int32 [n, C], 0 <= m < 2^31; shift: int8 [C], 1 to 62; n = len(xs) >= 1. Both are copied and read-only.
    clip defaults to the whole range of y's type. Raises ShapeError, RangeError.
    """

    xs: tuple[str, ...]
    y: str
    multipliers: NDArray[np.int32]
    shift: NDArray[np.int8]
    clip: Clip = None

    def __post_init__(self) -> None:
        where = f"sum '{self.y}'"
        if isinstance(self.xs, str):
            raise KernelError(f"{where} xs: needed a tuple of names; came the text {self.xs!r}")
        multipliers = integer_array(self.multipliers, np.int32, 2, f"{where} multipliers")
        shift = integer_array(self.shift, np.int8, 1, f"{where} shift")
        if not self.xs or shift.size == 0 or multipliers.shape != (len(self.xs), shift.size):
            raise ShapeError(
                f"{where}: needed multipliers [n, C] and shift [C] for n = {len(self.xs)} inputs, at least one; came "
                f"{list(multipliers.shape)} and {list(shift.shape)}"
            )
        if multipliers.min() < 0 or shift.min() < 1 or shift.max() > MAX_SHIFT:
            raise RangeError(
                f"{where}: needed multipliers of at least 0 and shifts of 1 to {MAX_SHIFT}; came multipliers from "
                f"{multipliers.min()} and shifts {shift.min()} to {shift.max()}"
            )
        object.__setattr__(self, "xs", tuple(self.xs))
        object.__setattr__(self, "multipliers", multipliers)
        object.__setattr__(self, "shift", shift)
        object.__setattr__(self, "clip", _clip(where, self.clip))

    @property
    def inputs(self) -> tuple[str, ...]:
        return self.xs


@dataclass(frozen=True)
class Argmax:
    """y[0, t] = the lowest c at which x[c, t] is the maximum over channels; y: int32 [1, T]."""

    x: str
    y: str

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)


Step: TypeAlias = Conv1d | Sum | Argmax


def _is_int(value: Any) -> bool:
    return isinstance(value, (int, np.integer)) and not isinstance(value, bool)


def _require_extent(where: str, name: str, value: Any, least: int) -> None:
    if not _is_int(value) or not least <= value <= MAX_EXTENT:
        raise RangeError(f"{where} {name}: needed an integer from {least} to {MAX_EXTENT}; came {value!r}")


def _clip(where: str, clip: Any) -> Clip:
    if clip is None:
        return None
    if not (isinstance(clip, tuple) and len(clip) == 2 and all(map(_is_int, clip)) and clip[0] <= clip[1]):
        raise RangeError(f"{where} clip: needed two integers (lo, hi) with lo <= hi; came {clip!r}")
    return int(clip[0]), int(clip[1])
