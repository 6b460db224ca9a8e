"""What the folding passes share: the walk over the graph, the graph of the nodes that are left, finite constants."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import numpy.typing as npt

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.verify import verify

Fold = Callable[[Node, Node, dict[str, Array]], Node]
"""(convolution, the node behind it, constants to add to) -> the convolution that does both."""


def fold_into_convolutions(graph: Graph, op: str, convolutions: Collection[str], fold: Fold, establishes: str) -> Graph:
    """Return `graph` with every `op` made part of the convolution before it, under the name of the `op`'s value.

    Raises GraphError where an `op` does not follow one of `convolutions` that only it reads.
    """
    folded: dict[str, Node] = {}  # the convolution's value -> its replacement
    dropped: set[str] = set()
    constants: dict[str, Array] = dict(graph.constants)
    for node in graph.nodes:
        if node.op == op:
            convolution = _convolution_before(graph, node, convolutions)
            folded[convolution.output] = fold(convolution, node, constants)
            dropped.add(node.output)
    nodes = [folded.get(node.output, node) for node in graph.nodes if node.output not in dropped]
    result = rebuild(graph, nodes, constants, establishes)
    verify(result)
    return result


def _convolution_before(graph: Graph, node: Node, convolutions: Collection[str]) -> Node:
    producer = graph.producer(node.inputs[0])
    consumers = graph.consumers(node.inputs[0])
    if producer is None or producer.op not in convolutions or len(consumers) != 1:
        found = "the graph input" if producer is None else f"{producer.op!r} with {len(consumers)} consumer(s)"
        raise GraphError(f"node {node.output!r}: expected a convolution that only this {node.op} reads, found {found}")
    return producer


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
