"""The accumulators of the convolutions fit int32 (SPEC 5)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from int_kernels.bounds import Bounds, product_bounds
from int_kernels.dyadic import Dyadic
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.int_type import INT32
from int_kernels.lengths import Length
from int_kernels.proofs._known import Known, clip_range, require_channels, require_code
from int_kernels.steps import MAX_CHANNELS, Clip, Conv1d, Conv2d
from int_kernels.values import ValueSpec


def prove_conv1d(step: Conv1d, known: Known) -> tuple[Length, Bounds]:
    """Length and exact range of the result. Raises KernelError, ShapeError, RangeError."""
    where, x, y = f"conv1d '{step.y}'", known.specs[step.x], known.specs[step.y]
    require_code(where, "x", x)
    require_channels(where, x, step.channels_in)
    require_channels(where, y, step.channels_out)
    length = known.lengths[step.x]
    _require_pointwise_in_time(where, length, step.kernel, step.stride, step.padding)
    accumulator = _accumulator_range(where, step.weight, step.bias, x)
    length = length.after_conv(step.kernel, step.stride, step.dilation, step.padding)
    return length, _result_range(where, step.rescale, step.clip, y, accumulator)


def prove_conv2d(step: Conv2d, known: Known) -> tuple[Length, Bounds]:
    """Length and exact range of the result. Raises KernelError, ShapeError, RangeError."""
    where, x, y = f"conv2d '{step.y}'", known.specs[step.x], known.specs[step.y]
    require_code(where, "x", x)
    if step.channels_out > MAX_CHANNELS:
        raise ShapeError(
            f"{where}: expected at most {MAX_CHANNELS} channels of maps times rows, got {step.maps_out} * "
            f"{step.height_out}"
        )
    require_channels(where, x, step.channels_in)
    require_channels(where, y, step.channels_out)
    length = known.lengths[step.x]
    _require_pointwise_in_time(where, length, step.kernel[1], step.stride[1], step.padding[1])
    lowest, highest = _accumulator_range(where, step.weight, step.bias, x)
    accumulator = np.repeat(lowest, step.height_out), np.repeat(highest, step.height_out)
    length = length.after_conv(step.kernel[1], step.stride[1], 1, step.padding[1])
    return length, _result_range(where, step.rescale, step.clip, y, accumulator)


def _require_pointwise_in_time(where: str, length: Length, kernel: int, stride: int, padding: int) -> None:
    if length.kind != "frames" and (kernel, stride, padding) != (1, 1, 0):
        raise ShapeError(
            f"{where}: expected a kernel of 1 with stride 1 and no padding over {length}, got kernel {kernel}, stride "
            f"{stride}, padding {padding}"
        )


def _accumulator_range(where: str, weight: NDArray[np.int8], bias: NDArray[np.int32], x: ValueSpec) -> Bounds:
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


def _result_range(where: str, rescale: Dyadic | None, clip: Clip, y: ValueSpec, accumulator: Bounds) -> Bounds:
    if rescale is None:
        if y.type != INT32:
            raise KernelError(f"{where}: expected int32 for a raw accumulator; '{y.name}' is {y.type}; give a rescale")
        return accumulator
    if not y.type.is_code and y.type != INT32:
        raise KernelError(f"{where}: expected codes or int32 as y; '{y.name}' is {y.type}; let a Sum rescale it")
    return clip_range(where, clip, y)
