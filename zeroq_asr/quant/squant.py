"""Weight rounding without data: roundings are flipped until errors cancel (SQuant, Guo et al. 2022, arXiv:2202.07471).

    p = q - w / S        the error of a code, |p| <= 1/2 with rounding to nearest

Inputs that share a mean m make the error m S sum(p) in every output. So codes are flipped to the other neighbour of
w / S, |p| -> 1 - |p|, until the signed sums vanish, at least total change: those with the largest |p| are flipped.

    kernel (the K taps that meet one input channel):      |sum p| <= 1/2     all flips go against the sign of the sum
    output channel (its kernels together, one flip each): |sum p| <= 1/2     likewise; kernels stay below |sum p| <= 1
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from zeroq_asr.quant.qparams import round_half_up

Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_BLOCK = 1 << 20
"""Weights looked at together: memory stays at some tens of MB however large the layer."""


def squant(scaled: Reals, top: int) -> Codes:
    """Return the codes of `scaled` = w / S, [C_out, C_in / groups, ...], within [-top, top]: int64, the same shape.

    |scaled| must not exceed `top`. A weight becomes one of its two neighbours, never anything farther.
    """
    rows = scaled.reshape(*scaled.shape[:2], -1)
    codes = np.empty(rows.shape, np.int64)
    step = max(1, _BLOCK // max(1, rows[0].size))
    for start in range(0, len(rows), step):
        codes[start : start + step] = _round_block(rows[start : start + step], top)
    return codes.reshape(scaled.shape)


def _round_block(scaled: Reals, top: int) -> Codes:
    codes = round_half_up(scaled).clip(-top, top)
    if scaled.shape[2] > 1:  # (a single tap errs by 1/2 at most)
        codes = _cancel(codes, scaled, top)
    if scaled.shape[1] == 1:
        return codes
    # of each kernel only the tap may move whose flip changes least: the largest error of the wrong sign
    error = codes - scaled
    sign = _sign(error.sum(axis=(1, 2)))[:, None, None]
    tap = (error * sign).argmax(axis=2, keepdims=True)
    chosen, exact = (np.take_along_axis(array, tap, axis=2)[:, None, :, 0] for array in (codes, scaled))
    excess = error.sum(axis=2)[:, None, :] - (chosen - exact)  # what the other taps of the kernel err by
    moved = _cancel(chosen, exact, top, excess)[:, 0, :, None]
    np.put_along_axis(codes, tap, moved, axis=2)
    return codes


def _cancel(codes: Codes, scaled: Reals, top: int, excess: Reals | None = None) -> Codes:
    """Flip the fewest codes of every row (last axis) so that its errors, and `excess`, sum to 1/2 at most.

    Where `excess` is given, elements are ranked by their error and it together: they are kernels then.
    """
    error = codes - scaled
    rank = error if excess is None else error + excess
    total = rank.sum(axis=-1, keepdims=True)
    sign = _sign(total)
    flipped = codes - sign
    free = (error * sign > 0) & (np.abs(flipped) <= top)  # (the other neighbour lies on the other side of w / S)
    count = np.ceil(np.abs(total) - 0.5)
    order = np.argsort(np.where(free, -rank * sign, np.inf), axis=-1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.broadcast_to(np.arange(order.shape[-1]), order.shape), axis=-1)
    result: Codes = np.where(free & (place < count), flipped, codes)
    return result


def _sign(x: Reals) -> Codes:
    return np.where(x < 0, -1, 1)
