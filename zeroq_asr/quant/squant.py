"""Data-free rounding of weights so that errors cancel (SQuant, Guo et al. 2022, arXiv:2202.07471).

    p = q - w / S        rounding error of a quantized weight q, |p| <= 1/2 with rounding to nearest

If all inputs of an output have the mean m, its mean error is m S sum(p). Therefore some q are flipped to the other
neighbour of w / S, |p| -> 1 - |p|, so that the sums become small. Those with the largest |p| are flipped, which changes
the weights least. First the sum over each kernel (the K taps of one input channel), then that over each output channel:

    kernel:                                                 |sum p| <= 1/2     all flips go against the sign of the sum
    output channel (at most one flip in each kernel):       |sum p| <= 1/2     likewise; each kernel keeps |sum p| <= 1
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroq_asr.quant.qparams import round_half_up

Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_BLOCK = 1 << 20
"""Weights processed together, which limits the memory to tens of MB for a layer of any size."""


def squant(scaled: Reals, top: int) -> Codes:
    """Return quantized weights int64 in [-top, top] for `scaled` = w / S, float64 [C_out, C_in / groups, ...].

    |scaled| must not exceed `top`. The result has the shape of `scaled`; every element is one of the two integers next
    to the element of `scaled`.
    """
    rows = scaled.reshape(*scaled.shape[:2], -1)
    codes = np.empty(rows.shape, np.int64)
    step = max(1, _BLOCK // max(1, rows[0].size))
    for start in range(0, len(rows), step):
        codes[start : start + step] = _round_block(rows[start : start + step], top)
    return codes.reshape(scaled.shape)


def _round_block(scaled: Reals, top: int) -> Codes:
    codes = round_half_up(scaled).clip(-top, top)
    if scaled.shape[2] > 1:  # the error of a single tap is at most 1/2 already
        codes = _cancel(codes, scaled, top)
    if scaled.shape[1] == 1:
        return codes
    # In each kernel only the tap with the largest error of the wrong sign may be flipped.
    error = codes - scaled
    sign = _sign(error.sum(axis=(1, 2)))[:, None, None]
    tap = (error * sign).argmax(axis=2, keepdims=True)
    chosen, exact = (np.take_along_axis(array, tap, axis=2)[:, None, :, 0] for array in (codes, scaled))
    excess = error.sum(axis=2)[:, None, :] - (chosen - exact)  # error of the other taps of the kernel
    moved = _cancel(chosen, exact, top, excess)[:, 0, :, None]
    np.put_along_axis(codes, tap, moved, axis=2)
    return codes


def _cancel(codes: Codes, scaled: Reals, top: int, excess: Reals | None = None) -> Codes:
    """Flip the fewest codes of every row (last axis) so that |sum of errors plus `excess`| is at most 1/2.

    If `excess` is given, each element stands for a kernel and is ranked by the sum of its error and its excess.
    """
    error = codes - scaled
    rank = error if excess is None else error + excess
    total = rank.sum(axis=-1, keepdims=True)
    sign = _sign(total)
    flipped = codes - sign
    free = (error * sign > 0) & (np.abs(flipped) <= top)  # flipped is then the neighbour on the other side of w / S
    count = np.ceil(np.abs(total) - 0.5)
    order = np.argsort(np.where(free, -rank * sign, np.inf), axis=-1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.broadcast_to(np.arange(order.shape[-1]), order.shape), axis=-1)
    result: Codes = np.where(free & (place < count), flipped, codes)
    return result


def _sign(x: Reals) -> Codes:
    return np.where(x < 0, -1, 1)
