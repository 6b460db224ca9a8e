"""What each value of a float graph becomes in the integer program: the one place that answers it.

code         at most `act_bits` bits: what a convolution, an attention, a mean or a table reads
stream       int16: what a LayerNorm, a multiplication or an addition reads (and nothing that needs codes)
accumulator  the exact int32 of a convolution or a product, for readers that round themselves
inner        not there: it lives between an accumulator and the value that a ReLU or an addition makes of it
logits       the int32 grid of the head
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

from zeroq_asr.config import Nonlinear
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.ops.lowering import Role
from zeroq_asr.ops.registry import CONVOLUTIONS, OPS

__all__ = ["CONVOLUTIONS", "Role"]


def find_roles(graph: Graph, nonlinear: Nonlinear = "poly2") -> dict[str, Role]:
    """Return the role of every value, in execution order."""
    producers: dict[str, Node] = {node.output: node for node in graph.nodes}
    readers: dict[str, list[Node]] = {name: [] for name in graph.values}
    for node in graph.nodes:
        for name in node.inputs:
            if name in readers:
                readers[name].append(node)
    roles: dict[str, Role] = dict.fromkeys(graph.inputs, "code")
    for node in graph.nodes:
        name = node.output
        is_output = name in graph.outputs
        roles[name] = "logits" if is_output else _role(node, readers[name], producers, nonlinear)
    return roles


def _role(node: Node, readers: list[Node], producers: Mapping[str, Node], nonlinear: Nonlinear) -> Role:
    name, ops = node.output, [reader.op for reader in readers]
    if any(_reads_codes(reader, name, nonlinear) for reader in readers):
        return "code"
    if node.op in ("conv1d", "conv2d", "add") and ops == ["relu"]:
        return "inner"
    if node.op == "conv2d" or (node.op == "relu" and producers[node.inputs[0]].op == "conv2d"):
        return "code"  # a conv2d has no other form
    if node.op == "add" and ops == ["add"] and readers[0].inputs.count(name) == 1:
        return "inner"
    if node.op in ("conv1d", "multiply") and readers and all(_rounds_itself(op, nonlinear) for op in ops):
        return "accumulator"
    return "stream"


def _rounds_itself(reader: str, nonlinear: Nonlinear) -> bool:
    """Tell whether an operation reads int32 accumulators; with poly2 the activations do."""
    return OPS[reader].rounds_itself or (nonlinear == "poly2" and OPS[reader].is_activation)


def _reads_codes(reader: Node, name: str, nonlinear: Nonlinear) -> bool:
    if OPS[reader.op].reads_codes:
        return True
    if nonlinear == "poly2" or not OPS[reader.op].is_activation:
        return False
    return reader.op != "glu" or reader.inputs[1] == name  # a table looks at the gate; the other factor is multiplied


def find_code_values(graph: Graph, nonlinear: Nonlinear = "poly2") -> tuple[str, ...]:
    """Return the values that the integer program stores with a scale of their own, in execution order."""
    return tuple(name for name, role in find_roles(graph, nonlinear).items() if role in ("code", "stream"))


def is_fixed(graph: Graph, value: str, role: Role) -> bool:
    """Tell whether the scale of a stored value is known without data: positions (1/127), a gate in int16 (1/32768)."""
    producer = graph.producer(value)
    if producer is None:
        return False
    return producer.op == "positions" or (producer.op in ("sigmoid", "tanh") and role == "stream")


def is_nonnegative(graph: Graph, value: str) -> bool:
    """Tell whether what makes `value` (a ReLU, a sigmoid) gives nothing below 0."""
    producer = graph.producer(value)
    return producer is not None and OPS[producer.op].is_nonnegative


def is_heavy_tailed(graph: Graph, value: str) -> bool:
    """Tell whether a swish, gelu or GLU makes `value`: its rare large numbers carry meaning and must not be cut off."""
    producer = graph.producer(value)
    return producer is not None and OPS[producer.op].is_heavy_tailed


def is_shiftable(graph: Graph, value: str) -> bool:
    """Tell whether `value` may be coded with an offset and gains by it: a swish or gelu that linear layers read.

    Their biases absorb the offset; padding, which inserts the code 0, must not occur.
    """
    producer, consumers = graph.producer(value), graph.consumers(value)
    if producer is None or producer.op not in ("swish", "gelu"):
        return False
    return all(_is_linear(graph, consumer) for consumer in consumers)


def is_depthwise_input(graph: Graph, value: str, makers: Collection[str] = ("glu", "relu")) -> bool:
    """Tell whether one of `makers` makes `value` and only depthwise convolutions with one output per input read it.

    Such a value may have one scale per channel for nothing.
    """
    producer, consumers = graph.producer(value), graph.consumers(value)
    if producer is None or producer.op not in makers or not consumers:
        return False
    channels = graph.values[value].channels
    return all(
        consumer.op == "conv1d"
        and consumer.integer("groups") == channels
        and graph.values[consumer.output].channels == channels
        for consumer in consumers
    )


def _is_linear(graph: Graph, node: Node) -> bool:
    if node.op != "conv1d":
        return False
    return graph.constants[node.inputs[1]].shape[2] == 1 and node.integer("padding") == 0
