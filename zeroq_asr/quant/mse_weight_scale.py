"""The weight scale of least squared error: it clips a few large weights to give the many small ones a finer step.

    S = argmin over S' = r max |w| / top of sum (w - S' clip(floor(w / S' + 1/2), -top, top))^2,
        r in WEIGHT_SCALE_RATIOS

Source: OCS, Zhao et al. 2019, arXiv:1901.09504, section 3 (clipping by mean squared error). At 8 bits r is near 1.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroq_asr.config import WEIGHT_SCALE_RATIOS
from zeroq_asr.quant.qparams import round_half_up

Reals = npt.NDArray[np.float64]

_BLOCK = 1 << 20
"""Weights processed together, which bounds the memory."""


def mse_weight_scale(weight: Reals, scale: Reals, top: int, *, per_tensor: bool = False) -> Reals:
    """Return the scales of least squared error, float64 [C_out].

    weight: float64 [C_out, ...]. scale: float64 [C_out], max |w| / top of each channel. The result is `scale` times one
    of WEIGHT_SCALE_RATIOS for each channel, with `per_tensor` the same ratio for all; the first of equally good ones.
    """
    rows = weight.reshape(len(weight), -1)
    errors = np.empty((len(WEIGHT_SCALE_RATIOS), len(rows)))
    step = max(1, _BLOCK // max(1, rows.shape[1]))
    for start in range(0, len(rows), step):
        block, full = rows[start : start + step], scale[start : start + step, None]
        for number, ratio in enumerate(WEIGHT_SCALE_RATIOS):
            s = np.where(full > 0, full * ratio, 1.0)  # for weights of zero every scale is exact
            codes = round_half_up(block / s).clip(-top, top)
            errors[number, start : start + step] = np.square(block - s * codes).sum(axis=1)
    if per_tensor:
        errors = np.broadcast_to(errors.sum(axis=1, keepdims=True), errors.shape)
    best: Reals = scale * np.array(WEIGHT_SCALE_RATIOS)[errors.argmin(axis=0)]
    return best
