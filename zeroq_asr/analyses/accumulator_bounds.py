"""How far the accumulator of each convolution can go, for any input whatsoever."""

from __future__ import annotations

from dataclasses import dataclass

from int_kernels import Conv1d, Conv2d, Program, accumulator_bounds


@dataclass(frozen=True)
class Bound:
    """The exact extremes over all output channels and all inputs of the operand's type (they are attained)."""

    lo: int
    hi: int

    @property
    def bits(self) -> int:
        """Bits of the smallest signed integer that holds both."""
        return max(self.hi.bit_length(), (-self.lo - 1).bit_length() if self.lo < 0 else 0) + 1


def bound_accumulators(program: Program) -> dict[str, Bound]:
    """Return the bound of every convolution of a program, by the name of the value that it makes."""
    result = {}
    for step in program.steps:
        if isinstance(step, Conv1d | Conv2d):
            lo, hi = accumulator_bounds(step.weight, step.bias, program.spec(step.x).type)
            result[step.y] = Bound(int(lo.min()), int(hi.max()))
    return result
