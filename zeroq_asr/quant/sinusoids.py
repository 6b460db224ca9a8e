"""The sinusoids of relative positions, split so that small tables serve every length (SPEC, positions).

    w_d = 10000^(-2 d / D);  |p| = 64 i + k;  fine[., d, k] = k w_d, coarse[., d, i] = 64 i w_d

sine (0) and cosine (1), in 1/16384; the addition theorem puts them together.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroq_asr.quant.qparams import round_half_up

FINE = 64
_ONE = 1 << 14

Tables = npt.NDArray[np.int16]


def sinusoid_tables(channels: int, max_frames: int) -> tuple[Tables, Tables]:
    """Return (fine int16 [2, D/2, 64], coarse int16 [2, D/2, N]), N = ceil(max_frames / 64), for D even channels."""
    frequencies = frequencies_of(channels)
    fine = frequencies[:, None] * np.arange(FINE)
    coarse = frequencies[:, None] * (FINE * np.arange(-(-max_frames // FINE)))
    return _table(fine), _table(coarse)


def frequencies_of(channels: int) -> npt.NDArray[np.float64]:
    """Return w_d = 10000^(-2 d / D), float64 [D / 2]."""
    result: npt.NDArray[np.float64] = 10000.0 ** (-2.0 * np.arange(channels // 2) / channels)
    return result


def _table(angles: npt.NDArray[np.float64]) -> Tables:
    return round_half_up(_ONE * np.stack([np.sin(angles), np.cos(angles)])).astype(np.int16)
