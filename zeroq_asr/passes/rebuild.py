"""What the folding passes share: the graph of the nodes that are left, and constants that stay finite."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node


def rebuild(graph: Graph, nodes: Sequence[Node], constants: Mapping[str, Array], establishes: str) -> Graph:
    """Return `graph` with the body `nodes`, without the values and constants that they do not name."""
    made = {node.output for node in nodes} | set(graph.inputs)
    read = {name for node in nodes for name in node.inputs}
    return graph.with_nodes(
        nodes,
        {name: value for name, value in graph.values.items() if name in made},
        {name: array for name, array in constants.items() if name in read},
        establishes=(establishes,),
    )


def folded_constant(where: str, array: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """Return `array` as float32. Raises GraphError where a number is not finite any more."""
    with np.errstate(over="ignore"):
        result = array.astype(np.float32)
    if not np.isfinite(result).all():
        raise GraphError(f"node {where!r}: folding gave a number that is not finite; is the checkpoint damaged?")
    return result
