"""Choose a bit width for each layer: the least summed loss within budgets, as an integer linear program.

    min  sum_{l,b} loss[l, b] x[l, b]
    s.t. sum_b x[l, b] = 1                      for every layer l
         sum_{l,b} cost[l, b] x[l, b] <= most   for every budget
         x[l, b] in {0, 1}

HiGHS solves it to optimality through `scipy.optimize.milp`; then the budgets are checked in exact integers.
Source: HAWQ-V3, Yao et al. 2021, arXiv:2011.10680, section 3.4, with other losses.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from eval.capture_stdio import capture_stdio
from zeroq_asr.errors import QuantizationError

if TYPE_CHECKING:
    from scipy.optimize import LinearConstraint

_SCALE = 1e6
"""The largest loss after scaling. HiGHS stops at an absolute gap of 1e-6, which scipy cannot change."""
_TOLERANCE = 1e-6
"""Integrality tolerance of HiGHS: a sum may be wrong by this share of the largest cost."""
_ROUNDS = 20
_MAX_COEFFICIENT = 1 << 24
"""Largest integer coefficient given to HiGHS."""


@dataclass(frozen=True, eq=False)
class Limit:
    """A budget. costs: int64 [layers, widths], in any unit. most: largest sum over the layers, in the same unit."""

    costs: npt.NDArray[np.int64]
    most: int

    def cost_of(self, choice: Sequence[int]) -> int:
        """Return the sum of the costs of `choice`, one column per layer."""
        return int(self.costs[np.arange(len(choice)), list(choice)].sum())


def allocate_bits(losses: npt.NDArray[np.float64], limits: Sequence[Limit]) -> tuple[int, ...]:
    """Return the column of `losses` float64 [layers, widths] that each layer gets.

    Raises QuantizationError if no choice is within the limits, or if a loss is not finite.
    """
    if not np.isfinite(losses).all():
        raise QuantizationError("choice of bits: expected finite divergences, got others; is the checkpoint damaged?")
    allowed = [limit.most for limit in limits]
    for number in range(_ROUNDS):
        choice = _solve(losses, limits, allowed)
        over = [max(0, limit.cost_of(choice) - limit.most) for limit in limits]
        if not any(over):
            return choice
        # The choice exceeds the limit within the solver's tolerance: lower the limit, by more in each round.
        for index, excess in enumerate(over):
            slack = int(_TOLERANCE * 2**number * limits[index].costs.max())
            allowed[index] -= max(excess, slack) if excess else 0
    raise QuantizationError("choice of bits: the solver found no choice that keeps the budget exactly")


def _solve(losses: npt.NDArray[np.float64], limits: Sequence[Limit], allowed: Sequence[int]) -> tuple[int, ...]:
    from scipy.optimize import Bounds, LinearConstraint, milp

    layers, widths = losses.shape
    largest = float(np.abs(losses).max())
    one_each = np.kron(np.eye(layers), np.ones(widths))
    constraints = [LinearConstraint(one_each, 1, 1)]
    for limit, most in zip(limits, allowed, strict=True):
        constraints.append(_constraint(limit.costs, most))
    with capture_stdio(1):  # HiGHS prints a line of debug output
        answer = milp(
            (losses * (_SCALE / largest if largest > 0 else 1.0)).ravel(),
            integrality=np.ones(losses.size),
            bounds=Bounds(0, 1),
            constraints=constraints,
            options={"mip_rel_gap": 0.0},
        )
    if answer.x is None:
        raise QuantizationError(f"choice of bits: no choice stays within the budget ({answer.message})")
    return tuple(int(column) for column in answer.x.reshape(layers, widths).argmax(axis=1))


def _constraint(costs: npt.NDArray[np.int64], most: int) -> LinearConstraint:
    """Return costs x <= most in units of the greatest common divisor, so that few sums are close to the limit.

    If the coefficients are then still large, the unit is the largest cost.
    """
    from scipy.optimize import LinearConstraint

    largest = max(1, int(costs.max()))
    unit = max(1, int(np.gcd.reduce(costs, axis=None)))
    if largest // unit > _MAX_COEFFICIENT:
        unit = largest
    return LinearConstraint(costs.reshape(1, -1) / unit, -np.inf, most / unit)
