"""attention with relative positions, spelled out (SPEC 4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.fixed_point import rounding_shift_right_half_up, saturate
from int_kernels.int_type import IntType
from int_kernels.reference.exponential import LEAST_OCTAVES, OCTAVE, exp2_negative
from int_kernels.steps import Attention

LARGEST_SCORE = 1 << 29


def attention(step: Attention, operands: Sequence[NDArray[Any]], y_type: IntType) -> NDArray[Any]:
    """y[d, i] = clip(rescale_d(weighted mean of v[d, j] over j, in 1/32768)).

    operands: qu, qv, k, v [D, T] and p [D, 2T - 1], codes -> y_type's storage [D, T].
    """
    qu, qv, k, v, p = (x.astype(np.int64).reshape(step.heads, -1, x.shape[1]) for x in operands)
    heads = [average(weights(step, h, qu[h], qv[h], k[h], p[h]), v[h]) for h in range(step.heads)]
    lo, hi = step.clip or (y_type.lo, y_type.hi)
    return saturate(step.rescale.rescale(np.concatenate(heads)), lo, hi).astype(y_type.storage)


def weights(
    step: Attention,
    head: int,
    qu: NDArray[np.int64],
    qv: NDArray[np.int64],
    k: NDArray[np.int64],
    p: NDArray[np.int64],
) -> NDArray[np.int64]:
    """e[i, j] in 1/16384, 16384 where the score of row i is largest. qu, qv, k: [dk, T], p: [dk, 2T - 1] -> [T, T]."""
    frames = k.shape[1]
    i, j = np.arange(frames)[:, None], np.arange(frames)[None, :]
    content = qu.T @ k
    position = (qv.T @ p)[i, frames - 1 - i + j]
    score = content * np.int64(step.content[head]) + position * np.int64(step.position[head])
    score = saturate(rounding_shift_right_half_up(score, step.shift), -LARGEST_SCORE, LARGEST_SCORE)
    t = np.minimum(score.max(axis=1, keepdims=True) - score, LEAST_OCTAVES * OCTAVE)
    mantissa, octaves = exp2_negative(t)
    return rounding_shift_right_half_up(mantissa, octaves + 3)


def average(e: NDArray[np.int64], v: NDArray[np.int64]) -> NDArray[np.int64]:
    """floor((a * 2^15 + floor(n / 2)) / n), n the sum of e over j, a that of e * v. [T, T], [dk, T] -> [dk, T]."""
    total = e.sum(axis=1)
    mean: NDArray[np.int64] = ((v @ e.T << 15) + (total >> 1)) // total
    return mean
