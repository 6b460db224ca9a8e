"""Graphs as text: one line per node, stable, for people, golden tests and `inspect`."""

from __future__ import annotations

from int_kernels.int_type import IntType
from zeroq_asr.ir.types import Graph, ValueType


def type_name(type: ValueType) -> str:
    """Return "float32", "int8", "uint8", ..."""
    return type.name if isinstance(type, IntType) else type


def print_graph(graph: Graph) -> str:
    """Return `graph` as text.

    >>> print(print_graph(graph))
    float graph (mel: float32[64]) -> (logits)
      conv = conv1d(mel, conv.weight[32,64,3]) stride=1 dilation=1 padding=1 groups=1 masked=1 : float32[32]
    """
    inputs = ", ".join(
        f"{name}: {type_name(graph.values[name].type)}[{graph.values[name].channels}]" for name in graph.inputs
    )
    lines = [f"{graph.dialect} graph ({inputs}) -> ({', '.join(graph.outputs)})"]
    for node in graph.nodes:
        arguments = ", ".join(_argument(graph, name) for name in node.inputs)
        attrs = "".join(f" {name}={value}" for name, value in node.attrs.items())
        value = graph.values[node.output]
        lines.append(f"  {node.output} = {node.op}({arguments}){attrs} : {type_name(value.type)}[{value.channels}]")
    return "\n".join(lines) + "\n"


def _argument(graph: Graph, name: str) -> str:
    if name not in graph.constants:
        return name
    return f"{name}[{','.join(str(size) for size in graph.constants[name].shape)}]"
