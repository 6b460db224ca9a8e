"""Weight rounding that looks at what the weights multiply: codes and scales of least error in the layer's output.

    minimise    E |sum_j (w_j - S q_j) x_j|^2 = e H e^T,      e = w - S q,  H = E[x x^T]

for every output channel. (AdaRound, Nagel et al. 2020, arXiv:2004.10568, eq. 13, derives it from the loss and minimises
it by gradients.) Here in closed form, in these steps:

    1. of some scales near the given ones, that of least error with rounding to nearest
    2. the columns are rounded one after the other, the most active first; those that are still real make up for what
       each loses (GPTQ, Frantar et al. 2022, arXiv:2210.17323, eq. 2 and 3):
           l_j = (w_j - S q_j) / U_jj,      w_i -= l_j U_ji  for i > j,      H^-1 = U^T U, U upper
    3. the scale of least error for these codes:      S = w H q^T / q H q^T
    4. sweeps over the columns: each code moves to where the error is least while the others stay
       (coordinate descent, QuantEase, Behdin et al. 2023, arXiv:2309.01885):
           q_j = clip(floor(q_j + (e H)_j / (S H_jj) + 1/2))

3 and 4 are repeated a few times. H is damped: the data is synthetic and few, so a share of its mean diagonal is added.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from zeroq_asr.quant.qparams import round_half_up

Reals = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

DAMPING = 0.1
"""Of H's mean diagonal."""
RATIOS = tuple(1.2 - step / 20 for step in range(14))
"""Scales tried in step 1, as multiples of those given."""
ROUNDS, SWEEPS = 3, 2
"""How often steps 3 and 4 are repeated, and sweeps in each."""

_BLOCK = 64
"""Columns handled together: what they change in all others is one product."""


@dataclass
class _Part:
    """Columns that are optimised together: weights, damped H and codes, [G, O, D], [G, D, D] and [G, O, D]."""

    weight: Reals
    h: Reals
    codes: Reals


def gptq_round(
    weight: Reals, moments: Sequence[Reals], scale: Reals, top: int, per_tensor: bool = False
) -> tuple[npt.NDArray[np.int8], Reals]:
    """Return codes int8 like `weight` within [-top, top], and scales [C_out] near `scale`.

    weight: [C_out, C_in / groups, ...]. moments: H of consecutive columns (input channel, taps), float64 [groups, D_i,
    D_i] each; columns of different members are rounded without regard to each other. scale: positive.
    """
    groups, count = len(moments[0]), len(weight)
    rows = weight.reshape(groups, count // groups, -1)
    s = scale.reshape(groups, -1)
    parts, start = [], 0
    for h in moments:
        columns = rows[:, :, start : start + h.shape[1]]
        parts.append(_Part(columns, _damped(h), np.zeros_like(columns)))
        start += h.shape[1]
    s = _searched(parts, s, top, per_tensor)
    for part in parts:
        part.codes = _round_columns(part.weight, part.h, s, top)
    for _ in range(ROUNDS):
        s = _fitted(parts, s, per_tensor)
        for part in parts:
            _descend(part, s, top)
    codes = np.concatenate([part.codes for part in parts], axis=2)
    return codes.reshape(weight.shape).astype(np.int8), s.reshape(-1)


def _damped(h: Reals) -> Reals:
    """H plus DAMPING times its mean diagonal; a group that reads nothing but zeros gets the identity."""
    mean = np.einsum("gdd->g", h) / h.shape[1]
    return h + np.where(mean > 0, DAMPING * mean, 1.0)[:, None, None] * np.eye(h.shape[1])


def _searched(parts: Sequence[_Part], scale: Reals, top: int, per_tensor: bool) -> Reals:
    """Step 1: the ratio of RATIOS that errs least, the first of equals."""
    errors = np.empty((len(RATIOS), *scale.shape))
    weight, h = parts[0].weight, parts[0].h  # (of a wide layer's many blocks one is enough to tell)
    for number, ratio in enumerate(RATIOS):
        s = (scale * ratio)[:, :, None]
        lost = weight - s * round_half_up(weight / s).clip(-top, top)
        errors[number] = ((lost @ h) * lost).sum(axis=2)
    if per_tensor:
        errors = np.broadcast_to(errors.sum(axis=(1, 2), keepdims=True), errors.shape)
    best: Reals = scale * np.array(RATIOS)[errors.argmin(axis=0)]
    return best


def _round_columns(weight: Reals, h: Reals, scale: Reals, top: int) -> Reals:
    """Step 2."""
    order = np.argsort(-np.einsum("gdd->gd", h), axis=1, kind="stable")
    u = _upper(np.take_along_axis(np.take_along_axis(h, order[:, :, None], 1), order[:, None, :], 2))
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


def _upper(h: Reals) -> Reals:
    """U upper triangular with H^-1 = U^T U: the inverse of R, H = R R^T with R upper."""
    r = np.linalg.cholesky(h[:, ::-1, ::-1])[:, ::-1, ::-1]
    return np.linalg.inv(r)


def _fitted(parts: Sequence[_Part], scale: Reals, per_tensor: bool) -> Reals:
    """Step 3; a channel whose codes are all 0 keeps its scale."""
    along, norm = np.zeros_like(scale), np.zeros_like(scale)
    for part in parts:
        active = part.codes @ part.h
        along += (active * part.weight).sum(axis=2)
        norm += (active * part.codes).sum(axis=2)
    if per_tensor:
        along, norm = np.full_like(along, along.sum()), np.full_like(norm, norm.sum())
    good = (along > 0) & (norm > 0)
    return np.where(good, along / np.where(good, norm, 1.0), scale)


def _descend(part: _Part, scale: Reals, top: int) -> None:
    """Step 4, SWEEPS times, or until no code moves."""
    weight, h, codes = part.weight, part.h, part.codes
    size, along = weight.shape[2], scale[:, :, None]
    for _ in range(SWEEPS):
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
