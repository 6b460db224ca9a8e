"""Rounding by second moments: against nearest rounding, against all roundings of small layers, corner cases."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from zeroq_asr.quant import gptq
from zeroq_asr.quant.gptq import gptq_round
from zeroq_asr.quant.qparams import round_half_up

TOP = 7


def moments_of(groups: int, size: int, seed: int = 0, share: float = 0.9) -> np.ndarray:
    """H of numbers that have `share` of their variance in common."""
    rng = np.random.default_rng(seed)
    x = rng.normal(0, 1, (groups, size, 400)) * np.sqrt(1 - share) + rng.normal(0, 1, (groups, 1, 400)) * np.sqrt(share)
    h: np.ndarray = x @ x.transpose(0, 2, 1) / 400
    return h


def error(weight: np.ndarray, codes: np.ndarray, scale: np.ndarray, h: np.ndarray) -> np.ndarray:
    """e H e^T of every output channel."""
    rows = (weight - scale.reshape(-1, *(1,) * (weight.ndim - 1)) * codes).reshape(len(h), -1, h.shape[1])
    squares: np.ndarray = ((rows @ h) * rows).sum(axis=2).ravel()
    return squares


def scales(weight: np.ndarray) -> np.ndarray:
    largest: np.ndarray = np.abs(weight).reshape(len(weight), -1).max(axis=1)
    return largest / TOP


@pytest.mark.parametrize(
    ("shape", "groups"),
    [((24, 150, 1), 1), ((12, 4, 9), 1), ((12, 4, 9), 3), ((16, 1, 33), 16), ((6, 2, 3, 3), 2)],
    ids=["linear", "dense", "groups", "depthwise", "map"],
)
def test_the_output_errs_much_less_than_with_nearest_rounding(shape: tuple[int, ...], groups: int) -> None:
    weight = np.random.default_rng(1).normal(0, 1, shape)
    h = moments_of(groups, weight[0].size)
    codes, scale = gptq_round(weight, [h], scales(weight), TOP)
    assert codes.dtype == np.int8 and codes.shape == shape and np.abs(codes).max() <= TOP
    s = scales(weight)
    nearest = round_half_up(weight / s.reshape(-1, *(1,) * (len(shape) - 1)))
    assert error(weight, codes, scale, h).sum() < 0.5 * error(weight, nearest, s, h).sum()


def test_it_is_close_to_the_best_of_all_roundings(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gptq, "GPTQ_DAMPING", 0.0)
    weight = np.random.default_rng(2).normal(0, 1, (20, 6, 1))
    h = moments_of(1, 6)
    codes, scale = gptq_round(weight, [h], scales(weight), TOP)
    found = error(weight, codes, scale, h)
    floor = np.floor(weight / scale[:, None, None])
    choices = [floor + np.array(up)[None, :, None] for up in itertools.product((-1, 0, 1, 2), repeat=6)]
    best = np.min([error(weight, choice.clip(-TOP, TOP), scale, h) for choice in choices], axis=0)
    assert (found >= best - 1e-12).all()
    assert found.sum() < 1.5 * best.sum()


def test_inputs_of_one_size_that_know_nothing_of_each_other_mean_nearest_rounding() -> None:
    weight = np.random.default_rng(3).normal(0, 1, (8, 20, 1))
    codes, scale = gptq_round(weight, [np.eye(20)[None]], scales(weight), TOP)
    np.testing.assert_array_equal(codes, round_half_up(weight / scale[:, None, None]).clip(-TOP, TOP))


def test_weights_on_the_grid_stay() -> None:
    grid = np.random.default_rng(4).integers(-TOP, TOP + 1, (8, 20, 1))
    grid[:, 0] = TOP
    codes, scale = gptq_round(grid * np.float64(0.25), [moments_of(1, 20)], np.full(8, 0.25), TOP)
    np.testing.assert_array_equal(codes, grid)
    np.testing.assert_allclose(scale, 0.25)


def test_blocks_of_columns_know_nothing_of_each_other() -> None:
    weight = np.random.default_rng(5).normal(0, 1, (8, 20, 1))
    h = moments_of(1, 20)
    apart = h.copy()
    apart[:, :10, 10:] = apart[:, 10:, :10] = 0
    codes, scale = gptq_round(weight, [h[:, :10, :10], h[:, 10:, 10:]], scales(weight), TOP)
    whole, whole_scale = gptq_round(weight, [apart], scales(weight), TOP)
    # (the two share a scale only, which is looked for on the first of them)
    assert error(weight, codes, scale, apart).sum() < 1.5 * error(weight, whole, whole_scale, apart).sum()


def test_one_scale_for_the_tensor_stays_one() -> None:
    weight = np.random.default_rng(6).normal(0, 1, (8, 20, 1))
    _, scale = gptq_round(weight, [moments_of(1, 20)], np.full(8, scales(weight).max()), TOP, per_tensor=True)
    assert len(set(scale)) == 1


def test_nothing_but_zeros() -> None:
    weight = np.random.default_rng(7).normal(0, 1, (4, 1, 5))
    h = moments_of(4, 5)
    h[1] = 0  # a channel that is never heard
    weight[2] = 0  # a channel without weights
    codes, scale = gptq_round(weight, [h], np.full(4, 0.3), TOP)
    assert np.isfinite(scale).all() and (scale > 0).all()
    assert not codes[2].any()
    np.testing.assert_array_equal(codes[1], round_half_up(weight[1] / scale[1]).clip(-TOP, TOP))
