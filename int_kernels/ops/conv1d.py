"""conv1d: convolution over time (SPEC 4)."""

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
class Conv1d(Step):
    """y[o, t] = clip(rescale_o(acc[o, t])) with g = o // (C_out/groups) and

    acc[o, t] = bias[o] + sum over c, k of weight[o, c, k] * x[g*C_in/groups + c, t*stride + k*dilation - padding].

    weight: int8 [C_out, C_in/groups, K]; bias: int32 [C_out]; both are copied and read-only.
    rescale None: y is the raw int32 accumulator and clip must be None. Else y = clip((acc*m + 2^(r-1)) >> r), where
    clip defaults to the whole range of y's type; a ReLU is clip (0, hi).
    Raises ShapeError, RangeError.
    """

    name: ClassVar[str] = "conv1d"
    code: ClassVar[int] = 0
    native_struct = CONV_STRUCT
    native_kernels = ("conv_dense", "conv1d_depthwise")

    x: str
    y: str
    weight: IntegerArray
    bias: IntegerArray
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
        object.__setattr__(self, "clip", convolution_clip(where, self.rescale, self.clip, len(weight)))
        checked_weight_bits(where, self.weight_bits, weight)
        checked_text(where, "layer", self.layer)

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

    def prove(self, context: ProofContext) -> tuple[Length, Bounds]:
        """Length and exact range of the result. Raises KernelError, ShapeError, RangeError."""
        where, x, y = f"conv1d '{self.y}'", context.specs[self.x], context.specs[self.y]
        require_code(where, "x", x)
        require_channels(where, x, self.channels_in)
        require_channels(where, y, self.channels_out)
        length = context.lengths[self.x]
        require_pointwise_in_time(where, length, self.kernel, self.stride, self.padding)
        accumulator = accumulator_range(where, self.weight, self.bias, x)
        length = length.after_conv(self.kernel, self.stride, self.dilation, self.padding)
        return length, result_range(where, self.rescale, self.clip, y, accumulator)

    def evaluate(self, xs: Sequence[Array], types: Sequence[IntType], y_type: IntType) -> Array:
        """y[o, t] = clip(rescale_o(acc[o, t])), or acc itself. x: codes [C_in, T] -> y_type's storage [C_out, T']."""
        acc = accumulate(self, xs[0])
        if self.rescale is None:
            return acc.astype(y_type.storage)
        lo, hi = self.clip or (y_type.lo, y_type.hi)
        return saturate(self.rescale.rescale(acc), lo, hi).astype(y_type.storage)

    def native_fields(self, x: ValueSpec, y: ValueSpec) -> NativeFields:
        """weight, bias, geometry; its maps are one row high."""
        return {
            "weight": self.weight,
            "bias": self.bias,
            "kernel": self.kernel,
            "stride": self.stride,
            "dilation": self.dilation,
            "padding": self.padding,
            "groups": self.groups,
            "height": 1,
            "kernel_height": 1,
            "stride_height": 1,
            "padding_height": 0,
        }

    def native_rescale(self, y: ValueSpec) -> NativeFields:
        """multiplier and shift, one per output channel; empty for a raw accumulator."""
        return rescale_fields((self.rescale,), len(self.bias)) if self.rescale is not None else {}

    @property
    def is_framewise(self) -> bool:
        return self.kernel == 1 and self.stride == 1 and self.padding == 0


def accumulate(step: Conv1d, x: NDArray[Any]) -> NDArray[np.int64]:
    """acc[o, t] = bias[o] + sum over c, k of weight[o, c, k] * x[g*C_in/groups + c, t*stride + k*dilation - padding].

    Sums in int64 and refuses what does not fit int32 (which `Program` has proved cannot happen). -> int64 [C_out, T'].
    """
    padded = np.pad(x.astype(np.int64), ((0, 0), (step.padding, step.padding)))
    reach = step.dilation * (step.kernel - 1) + 1
    windows = np.lib.stride_tricks.sliding_window_view(padded, reach, axis=1)[:, :: step.stride, :: step.dilation]
    windows = windows.reshape(step.groups, -1, *windows.shape[1:])  # [groups, C_in/groups, T', K]
    weight = step.weight.astype(np.int64).reshape(step.groups, -1, *step.weight.shape[1:])
    products: NDArray[np.int64] = np.einsum("gock,gctk->got", weight, windows)
    result = products.reshape(step.channels_out, -1) + step.bias.astype(np.int64)[:, None]
    if result.min() < INT32.lo or result.max() > INT32.hi:
        raise RangeError(f"conv1d '{step.y}': an accumulator left int32, {result.min()} to {result.max()}")
    return result
