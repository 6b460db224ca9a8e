"""conv1d, spelled out (SPEC 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import RangeError
from int_kernels.fixed_point import saturate
from int_kernels.int_type import INT32, IntType
from int_kernels.steps import Conv1d


def conv1d(step: Conv1d, x: NDArray[Any], y_type: IntType) -> NDArray[Any]:
    """y[o, t] = clip(rescale_o(acc[o, t])), or acc itself. x: codes [C_in, T] -> y_type's storage [C_out, T']."""
    acc = accumulate(step, x)
    if step.rescale is None:
        return acc.astype(y_type.storage)
    lo, hi = step.clip or (y_type.lo, y_type.hi)
    return saturate(step.rescale.rescale(acc), lo, hi).astype(y_type.storage)


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
