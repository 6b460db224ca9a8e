"""The two convolutions (SPEC 4)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from int_kernels.dyadic import Dyadic
from int_kernels.errors import KernelError, ShapeError
from int_kernels.steps._checks import (
    MAX_CHANNELS,
    MAX_EXTENT,
    Clip,
    checked_bias,
    checked_clip,
    require_groups,
    require_integer,
    require_pair,
)
from int_kernels.validation import integer_array


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
    weight_bits: int = 8
    origin: str = ""
    layer: str = ""

    def __post_init__(self) -> None:
        where = f"conv1d '{self.y}'"
        weight = integer_array(self.weight, np.int8, 3, f"{where} weight")
        if weight.size == 0 or max(weight.shape[:2]) > MAX_CHANNELS or weight.shape[2] > MAX_EXTENT:
            raise ShapeError(
                f"{where} weight: expected [C_out, C_in/groups, K] with 1 to {MAX_CHANNELS} channels and "
                f"K of 1 to {MAX_EXTENT}, got {list(weight.shape)}"
            )
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", checked_bias(where, self.bias, np.int32, len(weight)))
        require_integer(where, "stride", self.stride, 1, MAX_EXTENT)
        require_integer(where, "dilation", self.dilation, 1, MAX_EXTENT)
        require_integer(where, "padding", self.padding, 0, MAX_EXTENT)
        require_groups(where, self.groups, len(weight))
        object.__setattr__(self, "clip", _convolution_clip(where, self.rescale, self.clip, len(weight)))

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
class Conv2d:
    """y[o*H' + h, t] = clip(rescale_o(acc[o*H' + h, t])) with g = o // (C_out/groups), x of `height` rows per map and

    acc[o*H' + h, t] = bias[o] + sum over c, i, k of
        weight[o, c, i, k] * x[(g*C_in/groups + c)*height + h*stride[0] + i - padding[0], t*stride[1] + k - padding[1]].

    weight: int8 [C_out, C_in/groups, KH, KT] (rows, then time); bias: int32 [C_out]; stride, padding: (rows, frames);
    H' = (height + 2*padding[0] - KH) // stride[0] + 1. The rest is as in Conv1d. Raises ShapeError, RangeError.
    """

    x: str
    y: str
    weight: NDArray[np.int8]
    bias: NDArray[np.int32]
    height: int
    stride: tuple[int, int] = (1, 1)
    padding: tuple[int, int] = (0, 0)
    groups: int = 1
    rescale: Dyadic | None = None
    clip: Clip = None
    weight_bits: int = 8
    origin: str = ""
    layer: str = ""

    def __post_init__(self) -> None:
        where = f"conv2d '{self.y}'"
        weight = integer_array(self.weight, np.int8, 4, f"{where} weight")
        if weight.size == 0 or max(weight.shape[:2]) > MAX_CHANNELS or max(weight.shape[2:]) > MAX_EXTENT:
            raise ShapeError(
                f"{where} weight: expected [C_out, C_in/groups, KH, KT] with 1 to {MAX_CHANNELS} channels and "
                f"KH, KT of 1 to {MAX_EXTENT}, got {list(weight.shape)}"
            )
        object.__setattr__(self, "weight", weight)
        object.__setattr__(self, "bias", checked_bias(where, self.bias, np.int32, len(weight)))
        require_integer(where, "height", self.height, 1, MAX_CHANNELS)
        require_pair(where, "stride", self.stride, 1)
        require_pair(where, "padding", self.padding, 0)
        require_groups(where, self.groups, len(weight))
        if self.height + 2 * self.padding[0] < weight.shape[2]:
            raise ShapeError(
                f"{where} height: expected at least {weight.shape[2] - 2 * self.padding[0]} rows for a kernel of "
                f"{weight.shape[2]} with padding {self.padding[0]}, got {self.height}"
            )
        object.__setattr__(self, "clip", _convolution_clip(where, self.rescale, self.clip, len(weight)))

    @property
    def inputs(self) -> tuple[str, ...]:
        return (self.x,)

    @property
    def height_out(self) -> int:
        return (self.height + 2 * self.padding[0] - int(self.weight.shape[2])) // self.stride[0] + 1

    @property
    def maps_out(self) -> int:
        """C_out, the feature maps of the result; `rescale` and `bias` have one number for each."""
        return int(self.weight.shape[0])

    @property
    def channels_in(self) -> int:
        """Rows of x: C_in * height."""
        return int(self.weight.shape[1]) * self.groups * self.height

    @property
    def channels_out(self) -> int:
        """Rows of y: C_out * H'."""
        return self.maps_out * self.height_out

    @property
    def kernel(self) -> tuple[int, int]:
        """(KH, KT)."""
        return int(self.weight.shape[2]), int(self.weight.shape[3])


def _convolution_clip(where: str, rescale: Dyadic | None, clip: Clip, channels: int) -> Clip:
    if rescale is not None:
        rescale.require_channels(channels)
    elif clip is not None:
        raise KernelError(f"{where}: expected no clip on a raw accumulator, got {clip!r}; give a rescale too")
    return checked_clip(where, clip)
