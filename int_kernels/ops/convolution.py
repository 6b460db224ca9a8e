"""What the two convolutions share: their accumulators fit int32 (SPEC 5)."""

from __future__ import annotations

from int_kernels.bounds import Bounds, product_bounds
from int_kernels.dyadic import Dyadic
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.int_type import INT32
from int_kernels.lengths import Length
from int_kernels.ops.checks import Clip, checked_clip
from int_kernels.ops.native_struct import CField, NativeStruct
from int_kernels.ops.proof_context import clip_range
from int_kernels.validation import IntegerArray
from int_kernels.values import ValueSpec

CONV_STRUCT = NativeStruct(
    "conv",
    (
        CField(
            "weight",
            "const int8_t *",
            "[maps of y][maps of x / groups][kernel_height][kernel]; conv1d: a map is a channel",
        ),
        CField("bias", "const int32_t *", "[maps of y]"),
        CField("kernel", "int32_t", "extents over time"),
        CField("stride", "int32_t"),
        CField("dilation", "int32_t", "conv2d: 1"),
        CField("padding", "int32_t"),
        CField("groups", "int32_t"),
        CField("height", "int32_t", "of each map of x; conv1d: 1"),
        CField("kernel_height", "int32_t", "conv1d: 1"),
        CField("stride_height", "int32_t", "conv1d: 1"),
        CField("padding_height", "int32_t", "conv1d: 0"),
    ),
)
"""Parameters of conv1d and conv2d in C. Without a rescale (multiplier NULL), y is the raw accumulator."""


def convolution_clip(where: str, rescale: Dyadic | None, clip: Clip, channels: int) -> Clip:
    """`clip` checked; a raw accumulator has none. Raises KernelError, RangeError, ShapeError."""
    if rescale is not None:
        rescale.require_channels(channels)
    elif clip is not None:
        raise KernelError(f"{where}: expected no clip on a raw accumulator, got {clip!r}; give a rescale too")
    return checked_clip(where, clip)


def require_pointwise_in_time(where: str, length: Length, kernel: int, stride: int, padding: int) -> None:
    """Raise ShapeError unless values that are not frames meet a kernel of 1, stride 1 and no padding."""
    if length.kind != "frames" and (kernel, stride, padding) != (1, 1, 0):
        raise ShapeError(
            f"{where}: expected a kernel of 1 with stride 1 and no padding over {length}, got kernel {kernel}, stride "
            f"{stride}, padding {padding}"
        )


def accumulator_range(where: str, weight: IntegerArray, bias: IntegerArray, x: ValueSpec) -> Bounds:
    """Exact extremes of every accumulator. Raises RangeError where a partial sum could leave int32."""
    without_bias = product_bounds(weight, x.type)
    lowest, highest = without_bias[0] + bias, without_bias[1] + bias
    low = int(min(lowest.min(), without_bias[0].min()))
    high = int(max(highest.max(), without_bias[1].max()))
    if low < INT32.lo or high > INT32.hi:
        raise RangeError(
            f"{where}: expected accumulators within {INT32.lo} to {INT32.hi}; the worst case is {low} to {high}; "
            "use a coarser scale for weight or bias"
        )
    return lowest, highest


def result_range(where: str, rescale: Dyadic | None, clip: Clip, y: ValueSpec, accumulator: Bounds) -> Bounds:
    """Range of y: of the accumulator itself, or of the clip. Raises KernelError, RangeError."""
    if rescale is None:
        if y.type != INT32:
            raise KernelError(f"{where}: expected int32 for a raw accumulator; '{y.name}' is {y.type}; give a rescale")
        return accumulator
    if not y.type.is_code and y.type != INT32:
        raise KernelError(f"{where}: expected codes or int32 as y; '{y.name}' is {y.type}; let a Sum rescale it")
    return clip_range(where, clip, y)
