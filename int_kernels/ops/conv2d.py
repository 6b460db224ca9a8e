"""conv2d: convolution over rows and time of feature maps (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from int_kernels.bounds import Bounds
from int_kernels.dyadic import Dyadic
from int_kernels.errors import RangeError, ShapeError
from int_kernels.fixed_point import saturate
from int_kernels.int_type import INT32, IntType
from int_kernels.lengths import Length
from int_kernels.limits import MAX_CHANNELS, MAX_EXTENT
from int_kernels.ops.base import Array, NativeFields, Step, rescale_fields
from int_kernels.ops.checks import (
    Clip,
    checked_bias,
    checked_text,
    checked_weight_bits,
    require_groups,
    require_integer,
    require_pair,
)
from int_kernels.ops.convolution import (
    CONV_STRUCT,
    accumulator_range,
    convolution_clip,
    require_pointwise_in_time,
    result_range,
)
from int_kernels.ops.proof_context import ProofContext, require_channels, require_code
from int_kernels.validation import IntegerArray, integer_array
from int_kernels.values import ValueSpec


@dataclass(frozen=True, eq=False)
class Conv2d(Step):
    """y[o*H' + h, t] = clip(rescale_o(acc[o*H' + h, t])) with g = o // (C_out/groups), x of `height` rows per map and

    acc[o*H' + h, t] = bias[o] + sum over c, i, k of
        weight[o, c, i, k] * x[(g*C_in/groups + c)*height + h*stride[0] + i - padding[0], t*stride[1] + k - padding[1]].

    weight: int8 [C_out, C_in/groups, KH, KT] (rows, then time); bias: int32 [C_out]; stride, padding: (rows, frames);
    H' = (height + 2*padding[0] - KH) // stride[0] + 1. The rest is as in Conv1d. Raises ShapeError, RangeError.
    """

    name: ClassVar[str] = "conv2d"
    code: ClassVar[int] = 3
    native_struct = CONV_STRUCT
    native_kernels = ("conv_dense", "conv2d_depthwise")

    x: str
    y: str
    weight: IntegerArray
    bias: IntegerArray
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
        object.__setattr__(self, "clip", convolution_clip(where, self.rescale, self.clip, len(weight)))
        checked_weight_bits(where, self.weight_bits, weight)
        checked_text(where, "layer", self.layer)

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

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and exact range of the result. Raises KernelError, ShapeError, RangeError."""
        where, x, y = f"conv2d '{self.y}'", context.specs[self.x], context.specs[self.y]
        require_code(where, "x", x)
        if self.channels_out > MAX_CHANNELS:
            raise ShapeError(
                f"{where}: expected at most {MAX_CHANNELS} channels of maps times rows, got {self.maps_out} * "
                f"{self.height_out}"
            )
        require_channels(where, x, self.channels_in)
        require_channels(where, y, self.channels_out)
        length = context.lengths[self.x]
        require_pointwise_in_time(where, length, self.kernel[1], self.stride[1], self.padding[1])
        lowest, highest = accumulator_range(where, self.weight, self.bias, x)
        accumulator = np.repeat(lowest, self.height_out), np.repeat(highest, self.height_out)
        length = length.after_conv(self.kernel[1], self.stride[1], 1, self.padding[1])
        return length, result_range(where, self.rescale, self.clip, y, accumulator)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y = clip(rescale_o(acc)), or acc itself. x: codes [C_in*H, T] -> y_type's storage [C_out*H', T']."""
        acc = accumulate(self, xs[0])
        if self.rescale is None:
            return acc.reshape(self.channels_out, -1).astype(y_type.storage)
        lo, hi = self.clip or (y_type.lo, y_type.hi)
        maps = acc.reshape(self.maps_out, -1)  # one multiplier per map, for all its rows
        return saturate(self.rescale.rescale(maps), lo, hi).reshape(self.channels_out, -1).astype(y_type.storage)

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """weight, bias, geometry."""
        return {
            "weight": self.weight,
            "bias": self.bias,
            "height": self.height,
            "kernel_height": self.kernel[0],
            "kernel": self.kernel[1],
            "stride_height": self.stride[0],
            "stride": self.stride[1],
            "padding_height": self.padding[0],
            "padding": self.padding[1],
            "dilation": 1,
            "groups": self.groups,
        }

    def native_rescale(self, y: ValueSpec) -> NativeFields:
        """multiplier and shift, one per output map; empty for a raw accumulator."""
        return rescale_fields((self.rescale,), len(self.bias)) if self.rescale is not None else {}


def accumulate(step: Conv2d, x: NDArray[Any]) -> NDArray[np.int64]:
    """acc[o, h, t] = bias[o] + sum over c, i, k of

    weight[o, c, i, k] * x[g*C_in/groups + c, h*stride_h + i - padding_h, t*stride_t + k - padding_t].
    Sums in int64 and refuses what does not fit int32 (which `Program` has proved cannot happen).
    -> int64 [C_out, H', T'].
    """
    (rows, frames), (stride_h, stride_t) = step.padding, step.stride
    maps = x.astype(np.int64).reshape(-1, step.height, x.shape[1])
    padded = np.pad(maps, ((0, 0), (rows, rows), (frames, frames)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, step.kernel, axis=(1, 2))[:, ::stride_h, ::stride_t]
    windows = windows.reshape(step.groups, -1, *windows.shape[1:])  # [groups, C_in/groups, H', T', KH, KT]
    weight = step.weight.astype(np.int64).reshape(step.groups, -1, *step.weight.shape[1:])
    products: NDArray[np.int64] = np.einsum("gocik,gchtik->goht", weight, windows)
    result = products.reshape(step.maps_out, *products.shape[2:]) + step.bias.astype(np.int64)[:, None, None]
    if result.min() < INT32.lo or result.max() > INT32.hi:
        raise RangeError(f"conv2d '{step.y}': an accumulator left int32, {result.min()} to {result.max()}")
    return result
