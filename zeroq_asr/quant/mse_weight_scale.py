"""The weight scale of least squared error: a few large weights are cut off so that the many small ones get finer steps.

    S = argmin over S' in {r max |w| / top: r in RATIOS} of sum (w - S' clip(floor(w / S' + 1/2), -top, top))^2

(OCS, Zhao et al. 2019, arXiv:1901.09504, section 3: clipping by mean squared error.) At 8 bits r stays near 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroq_asr.quant.qparams import round_half_up

Reals = npt.NDArray[np.float64]

RATIOS = tuple(1 - step / 40 for step in range(21))
"""From 1 down to 1/2; the first wins where several are as good."""

_BLOCK = 1 << 20
"""Weights looked at together, so that memory stays bounded."""


def mse_weight_scale(weight: Reals, scale: Reals, top: int, per_tensor: bool = False) -> Reals:
    """Return `scale` [C_out] times a ratio of RATIOS for each channel of `weight` [C_out, ...], or one for all."""
    rows = weight.reshape(len(weight), -1)
    errors = np.empty((len(RATIOS), len(rows)))
    step = max(1, _BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        block, full = rows[start : start + step], scale[start : start + step, None]
        for number, ratio in enumerate(RATIOS):
            s = np.where(full > 0, full * ratio, 1.0)  # (nothing but zeros: any scale is exact)
            codes = round_half_up(block / s).clip(-top, top)
            errors[number, start : start + step] = np.square(block - s * codes).sum(axis=1)
    if per_tensor:
        errors = np.broadcast_to(errors.sum(axis=1, keepdims=True), errors.shape)
    best: Reals = scale * np.array(RATIOS)[errors.argmin(axis=0)]
    return best
