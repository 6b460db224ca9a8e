"""Which values of a float graph become stored integers."""

from __future__ import annotations

from zeroq_asr.ir.types import Graph


def find_code_values(graph: Graph) -> tuple[str, ...]:
    """Return the values that the integer program stores as codes, in execution order.

    A convolution reads codes, so the graph input and every operand of a convolution are codes. What stands between an
    accumulator and the next code (additions, ReLU) happens inside one rounding and is never stored, with one exception:
    an operand of an addition that is not itself a convolution's accumulator has to be a code as well.
    """
    codes = set(graph.inputs)
    for node in graph.nodes:
        if node.op == "conv1d":
            codes.add(node.inputs[0])
        elif node.op == "add":
            codes.update(name for name in node.inputs if not is_private_accumulator(graph, name))
    order = (*graph.inputs, *(node.output for node in graph.nodes))
    return tuple(name for name in order if name in codes)


def is_private_accumulator(graph: Graph, value: str) -> bool:
    """Tell whether `value` is a convolution's result that exactly one node reads."""
    producer = graph.producer(value)
    return producer is not None and producer.op == "conv1d" and len(graph.consumers(value)) == 1


def is_nonnegative(graph: Graph, value: str) -> bool:
    """Tell whether a ReLU makes `value`."""
    producer = graph.producer(value)
    return producer is not None and producer.op == "relu"
