"""The integer program against brute force, and its limits kept to the last unit."""

from __future__ import annotations

import ctypes
import os
from itertools import product

import numpy as np
import pytest
import scipy.optimize

from zeroq_asr.bit_allocation.solver import Limit, allocate_bits
from zeroq_asr.errors import QuantizationError

WIDTHS = (2, 3, 4, 8)


def problem(seed: int, layers: int = 5) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Losses that fall with the bits over many orders of magnitude, and two costs that grow with them."""
    rng = np.random.default_rng(seed)
    sizes, macs = rng.integers(1, 10**6, layers), rng.integers(1, 10**10, layers)
    steepness = rng.uniform(0.5, 2.5, (layers, 1))
    losses = 10 ** rng.uniform(-4, 1, (layers, 1)) * np.exp(-steepness * np.array(WIDTHS))
    noise = 1 + 0.2 * rng.normal(size=losses.shape)
    return np.abs(losses * noise), np.outer(sizes, WIDTHS), np.outer(macs, WIDTHS) * 8


def brute_force(losses: np.ndarray, limits: list[Limit]) -> float:
    rows = np.arange(len(losses))
    choices = product(range(losses.shape[1]), repeat=len(losses))
    fits = (list(c) for c in choices if all(limit.cost_of(c) <= limit.most for limit in limits))
    return min(float(losses[rows, c].sum()) for c in fits)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("share", [0.0, 0.15, 0.6])
def test_no_choice_within_the_limits_is_better(seed: int, share: float) -> None:
    losses, sizes, macs = problem(seed)
    limits = []
    for costs in (sizes, macs):
        low, high = int(costs[:, 0].sum()), int(costs[:, -1].sum())
        limits.append(Limit(costs, low + int(share * (high - low))))
    choice = allocate_bits(losses, limits)
    assert all(limit.cost_of(choice) <= limit.most for limit in limits)
    found = float(losses[np.arange(len(losses)), list(choice)].sum())
    assert found == pytest.approx(brute_force(losses, limits), rel=1e-9)


def test_a_limit_that_one_unit_breaks_is_kept() -> None:
    """The solver's tolerance is far wider than one part in 10^12."""
    losses, costs = np.array([[1.0, 0.0], [1.0, 0.0]]), np.array([[1, 10**12], [1, 10**12]])
    assert allocate_bits(losses, [Limit(costs, 2 * 10**12)]) == (1, 1)
    assert sorted(allocate_bits(losses, [Limit(costs, 2 * 10**12 - 1)])) == [0, 1]
    assert sorted(allocate_bits(losses, [Limit(costs, 10**12 + 1)])) == [0, 1]
    assert allocate_bits(losses, [Limit(costs, 10**12)]) == (0, 0)


def test_without_limits_every_layer_gets_its_least_loss() -> None:
    losses, _, _ = problem(1)
    assert allocate_bits(losses, []) == tuple(losses.argmin(axis=1))
    assert allocate_bits(np.zeros((3, 2)), []) in set(product((0, 1), repeat=3))


def test_what_cannot_be_is_said() -> None:
    losses, sizes, _ = problem(2)
    with pytest.raises(QuantizationError, match="budget"):
        allocate_bits(losses, [Limit(sizes, int(sizes[:, 0].sum()) - 1)])
    losses[0, 0] = np.nan
    with pytest.raises(QuantizationError, match="finite"):
        allocate_bits(losses, [])


def test_the_solver_writes_nothing_to_the_standard_output(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """HiGHS leaves a line of debugging there now and then, through C's buffer and below Python's."""
    solve = scipy.optimize.milp

    def noisy(*arguments: object, **options: object) -> object:
        ctypes.CDLL(None).puts(b"from C")
        os.write(1, b"from below\n")
        return solve(*arguments, **options)

    monkeypatch.setattr(scipy.optimize, "milp", noisy)
    print("before")
    losses, sizes, _ = problem(0)
    allocate_bits(losses, [Limit(sizes, int(sizes[:, 1].sum()))])
    print("after")
    ctypes.CDLL(None).fflush(None)
    assert capfd.readouterr().out == "before\nafter\n"
