"""GPTQ: quantized weights and scales of least error in the output of a layer, given second moments of its input.

    minimise    E |sum_j (w_j - S q_j) x_j|^2 = e H e^T,      e = w - S q,  H = E[x x^T]

for every output channel. (AdaRound, Nagel et al. 2020, arXiv:2004.10568, eq. 13, derives this objective from the loss
and minimises it with gradients.) Here it is minimised without gradients, in these steps:

    1. Of several scales near the given ones, take that of least error with rounding to nearest.
    2. Round the columns one by one, the one with the largest H_jj first, and distribute the error of each over the
       columns that are not rounded yet (GPTQ, Frantar et al. 2022, arXiv:2210.17323, eq. 2 and 3):
           l_j = (w_j - S q_j) / U_jj,      w_i -= l_j U_ji  for i > j,      H^-1 = U^T U, U upper
    3. Compute the scale of least error for these q:      S = w H q^T / q H q^T
    4. Sweep over the columns; each q_j moves to its optimum while the others are fixed
       (coordinate descent, QuantEase, Behdin et al. 2023, arXiv:2309.01885):
           q_j = clip(floor(q_j + (e H)_j / (S H_jj) + 1/2))

Steps 3 and 4 are repeated GPTQ_ROUNDS times. H is damped: a share of its mean diagonal is added, because there is only
little data, and it is synthetic. In this file "codes" are the quantized values q.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroq_asr.config import GPTQ_DAMPING, GPTQ_ROUNDS, GPTQ_SCALE_RATIOS, GPTQ_SWEEPS
from zeroq_asr.quant.qparams import round_half_up

Reals = npt.NDArray[np.float64]

_BLOCK = 64
"""Columns updated together; their effect on all other columns is one matrix product."""


@dataclass
class _ColumnBlock:
    """Columns that are optimised together: weights [G, O, D], damped H [G, D, D] and codes [G, O, D]."""

    weight: Reals
    h: Reals
    codes: Reals


def gptq_round(
    weight: Reals, moments: Sequence[Reals], scale: Reals, top: int, *, per_tensor: bool = False
) -> tuple[npt.NDArray[np.int8], Reals]:
    """Return quantized weights int8 in [-top, top], of the shape of `weight`, and scales float64 [C_out].

    weight: float64 [C_out, C_in / groups, ...]. moments: H of consecutive blocks of columns (input channels and their
    taps), each float64 [groups, D_i, D_i]; columns of different blocks are rounded independently. scale: float64
    [C_out] > 0, where the search of step 1 starts. per_tensor: use one scale for all output channels.
    """
    groups, count = len(moments[0]), len(weight)
    rows = weight.reshape(groups, count // groups, -1)
    s = scale.reshape(groups, -1)
    blocks, start = [], 0
    for h in moments:
        columns = rows[:, :, start : start + h.shape[1]]
        blocks.append(_ColumnBlock(columns, _damped(h), np.zeros_like(columns)))
        start += h.shape[1]
    s = _search_scale(blocks, s, top, per_tensor)
    for block in blocks:
        block.codes = _round_columns(block.weight, block.h, s, top)
    for _ in range(GPTQ_ROUNDS):
        s = _fit_scale(blocks, s, per_tensor)
        for block in blocks:
            _descend(block, s, top)
    codes = np.concatenate([block.codes for block in blocks], axis=2)
    return codes.reshape(weight.shape).astype(np.int8), s.reshape(-1)


def _damped(h: Reals) -> Reals:
    """Return H plus GPTQ_DAMPING times its mean diagonal; a group whose input is always zero gets the identity."""
    mean = np.einsum("gdd->g", h) / h.shape[1]
    return h + np.where(mean > 0, GPTQ_DAMPING * mean, 1.0)[:, None, None] * np.eye(h.shape[1])


def _search_scale(blocks: Sequence[_ColumnBlock], scale: Reals, top: int, per_tensor: bool) -> Reals:
    """Step 1: return `scale` times the ratio of GPTQ_SCALE_RATIOS of least error, the first of equally good ones."""
    errors = np.empty((len(GPTQ_SCALE_RATIOS), *scale.shape))
    weight, h = blocks[0].weight, blocks[0].h  # the first block of a wide layer is representative
    for number, ratio in enumerate(GPTQ_SCALE_RATIOS):
        s = (scale * ratio)[:, :, None]
        lost = weight - s * round_half_up(weight / s).clip(-top, top)
        errors[number] = ((lost @ h) * lost).sum(axis=2)
    if per_tensor:
        errors = np.broadcast_to(errors.sum(axis=(1, 2), keepdims=True), errors.shape)
    best: Reals = scale * np.array(GPTQ_SCALE_RATIOS)[errors.argmin(axis=0)]
    return best


def _round_columns(weight: Reals, h: Reals, scale: Reals, top: int) -> Reals:
    """Step 2: return the codes [G, O, D]."""
    order = np.argsort(-np.einsum("gdd->gd", h), axis=1, kind="stable")
    u = _inverse_factor(np.take_along_axis(np.take_along_axis(h, order[:, :, None], 1), order[:, None, :], 2))
    left = np.take_along_axis(weight, order[:, None, :], 2)
    codes, size = np.empty_like(left), left.shape[2]
    for a in range(0, size, _BLOCK):
        b = min(size, a + _BLOCK)
        lost = np.empty((*scale.shape, b - a))
        for j in range(a, b):
            codes[:, :, j] = round_half_up(left[:, :, j] / scale).clip(-top, top)
            lost[:, :, j - a] = (left[:, :, j] - scale * codes[:, :, j]) / u[:, j, j, None]
            left[:, :, j + 1 : b] -= lost[:, :, j - a, None] * u[:, None, j, j + 1 : b]
        left[:, :, b:] -= lost @ u[:, a:b, b:]
    result = np.empty_like(codes)
    np.put_along_axis(result, np.broadcast_to(order[:, None, :], codes.shape), codes, 2)
    return result


def _inverse_factor(h: Reals) -> Reals:
    """Return the upper triangular U with H^-1 = U^T U: the inverse of the upper triangular R with H = R R^T."""
    r = np.linalg.cholesky(h[:, ::-1, ::-1])[:, ::-1, ::-1]
    return np.linalg.inv(r)


def _fit_scale(blocks: Sequence[_ColumnBlock], scale: Reals, per_tensor: bool) -> Reals:
    """Step 3: return the scale of least error; a channel whose codes are all 0 keeps its scale."""
    along, norm = np.zeros_like(scale), np.zeros_like(scale)
    for block in blocks:
        active = block.codes @ block.h
        along += (active * block.weight).sum(axis=2)
        norm += (active * block.codes).sum(axis=2)
    if per_tensor:
        along, norm = np.full_like(along, along.sum()), np.full_like(norm, norm.sum())
    good = (along > 0) & (norm > 0)
    return np.where(good, along / np.where(good, norm, 1.0), scale)


def _descend(block: _ColumnBlock, scale: Reals, top: int) -> None:
    """Step 4 in place: at most GPTQ_SWEEPS sweeps, fewer if no code moves."""
    weight, h, codes = block.weight, block.h, block.codes
    size, along = weight.shape[2], scale[:, :, None]
    for _ in range(GPTQ_SWEEPS):
        before = codes.copy()
        for a in range(0, size, _BLOCK):
            b = min(size, a + _BLOCK)
            pull = (weight - along * codes) @ h[:, :, a:b]
            for j in range(a, b):
                step = pull[:, :, j - a] / (scale * h[:, j, j, None])
                moved = round_half_up(codes[:, :, j] + step).clip(-top, top) - codes[:, :, j]
                codes[:, :, j] += moved
                pull -= (scale * moved)[:, :, None] * h[:, None, j, a:b]
        if np.array_equal(before, codes):
            break
