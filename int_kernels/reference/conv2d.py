"""conv2d, spelled out (SPEC 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import RangeError
from int_kernels.fixed_point import saturate
from int_kernels.int_type import INT32, IntType
from int_kernels.steps import Conv2d


def conv2d(step: Conv2d, x: NDArray[Any], y_type: IntType) -> NDArray[Any]:
    """y = clip(rescale_o(acc)), or acc itself. x: codes [C_in*H, T] -> y_type's storage [C_out*H', T']."""
    acc = accumulate(step, x)
    if step.rescale is None:
        return acc.reshape(step.channels_out, -1).astype(y_type.storage)
    lo, hi = step.clip or (y_type.lo, y_type.hi)
    maps = acc.reshape(step.maps_out, -1)  # one multiplier per map, for all its rows
    return saturate(step.rescale.rescale(maps), lo, hi).reshape(step.channels_out, -1).astype(y_type.storage)


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
