"""How far the accumulator of each convolution can go, for any input whatsoever."""

from __future__ import annotations

from dataclasses import dataclass

from int_kernels.bounds import accumulator_bounds
from int_kernels.int_type import IntType
from zeroq_asr.ir.types import Graph


@dataclass(frozen=True)
class Bound:
    """The exact extremes over all output channels and all inputs of the operand's type (they are attained)."""

    lo: int
    hi: int

    @property
    def bits(self) -> int:
        """Bits of the smallest signed integer that holds both."""
        return max(self.hi.bit_length(), (-self.lo - 1).bit_length() if self.lo < 0 else 0) + 1


def bound_accumulators(graph: Graph) -> dict[str, Bound]:
    """Return the bound of every convolution of an integer graph, by the name of its output value."""
    result = {}
    for node in graph.nodes:
        if node.op in ("conv1d", "accumulate", "conv2d"):
            type = graph.values[node.inputs[0]].type
            assert isinstance(type, IntType)
            lo, hi = accumulator_bounds(graph.constants[node.inputs[1]], graph.constants[node.inputs[2]], type)
            result[node.output] = Bound(int(lo.min()), int(hi.max()))
    return result
