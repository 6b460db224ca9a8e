"""What is left of real numbers in a graph."""

from __future__ import annotations

from zeroq_asr.ir.types import FLOAT, Graph


def find_floats(graph: Graph) -> tuple[str, ...]:
    """Return the names of all values and constants that are not integers. Empty for a lowered graph."""
    values = [name for name, value in graph.values.items() if value.type == FLOAT]
    constants = [name for name, array in graph.constants.items() if array.dtype.kind not in "iu"]
    return tuple(values + constants)
