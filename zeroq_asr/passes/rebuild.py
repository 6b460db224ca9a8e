"""What every folding pass ends with: a graph of the nodes that are left, and of what they read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

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
