"""sigmoid, tanh, swish, gelu and glu, spelled out (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.fixed_point import rounding_shift_right_half_up, saturate
from int_kernels.int_type import IntType
from int_kernels.reference.exponential import sigma
from int_kernels.steps import Activation

LARGEST = 1 << 16  # of |u|, 64 in 1/1024


def activation(step: Activation, xs: Sequence[NDArray[Any]], y_type: IntType) -> NDArray[Any]:
    """y[c, t] = clip(((v * m + 2^(r-1)) >> r) + offset). xs: one or two of [C, T] -> y_type's storage [C, T]."""
    us = [saturate(ratio.rescale(x), -LARGEST, LARGEST) for x, ratio in zip(xs, step.rescales, strict=True)]
    v = activate(step.kind, us)
    lo, hi = step.clip or (y_type.lo, y_type.hi)
    scaled = rounding_shift_right_half_up(v * np.int64(step.multiplier), step.shift)
    return saturate(scaled + step.offset, lo, hi).astype(y_type.storage)


def activate(kind: str, us: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """v of the operands u, |u| <= 65536: in 1/32768 for sigmoid and tanh, else in 1/32768 of u_1's unit."""
    u = us[0]
    if kind == "sigmoid":
        return sigma(u)
    if kind == "tanh":
        return 2 * sigma(u) - 32768
    if kind == "swish":
        return u * sigma(u)
    if kind == "glu":
        return u * sigma(us[1])
    return u * sigma(saturate(gelu_argument(u), -LARGEST, LARGEST))


def gelu_argument(u: NDArray[np.int64]) -> NDArray[np.int64]:
    """w = 2 sqrt(2/pi) (u + 0.044715 u^3), so that gelu(u) ~ u * logistic(w); u and w in 1/1024."""
    cubic = (((u * u + 512) >> 10) * 4676 + 512) >> 10
    return (u * (104580 + cubic) + 32768) >> 16
