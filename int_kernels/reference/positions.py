"""positions, spelled out (SPEC 4)."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from int_kernels.fixed_point import rounding_shift_right_half_up, saturate
from int_kernels.steps import Positions


def positions(step: Positions, frames: int) -> NDArray[np.int8]:
    """y[2d, j], y[2d + 1, j] = sine and cosine of (L - 1 - j) w_d in 1/127, by angle addition. -> int8 [D, 2L - 1]."""
    position = np.arange(frames - 1, -frames, -1)
    i, k = np.abs(position) >> 6, np.abs(position) & 63
    coarse_sine, coarse_cosine = step.coarse.astype(np.int64)[:, :, i]
    fine_sine, fine_cosine = step.fine.astype(np.int64)[:, :, k]
    sine = coarse_sine * fine_cosine + coarse_cosine * fine_sine
    sine = np.where(position < 0, -sine, sine)
    cosine = coarse_cosine * fine_cosine - coarse_sine * fine_sine
    y = np.stack([sine, cosine], axis=1).reshape(step.channels_out, -1)
    return saturate(rounding_shift_right_half_up(127 * y, 28), -127, 127).astype(np.int8)
