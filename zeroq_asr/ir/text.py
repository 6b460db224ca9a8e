"""Graphs as text: one line per node, stable, for people and golden tests."""

from __future__ import annotations

from zeroq_asr.ir.types import Graph


def print_graph(graph: Graph) -> str:
    """Return `graph` as text.

    >>> print(print_graph(graph))
    float graph (mel: float32[64]) -> (logits)
      conv = conv1d(mel, conv.weight[32,64,3]) stride=1 dilation=1 padding=1 groups=1 masked=1 : float32[32]
    """
    inputs = ", ".join(f"{name}: float32[{graph.values[name].channels}]" for name in graph.inputs)
    lines = [f"float graph ({inputs}) -> ({', '.join(graph.outputs)})"]
    for node in graph.nodes:
        arguments = ", ".join(_argument(graph, name) for name in node.inputs)
        attrs = "".join(f" {name}={value}" for name, value in node.attrs.items())
        channels = graph.values[node.output].channels
        lines.append(f"  {node.output} = {node.op}({arguments}){attrs} : float32[{channels}]")
    return "\n".join(lines) + "\n"


def _argument(graph: Graph, name: str) -> str:
    if name not in graph.constants:
        return name
    return f"{name}[{','.join(str(size) for size in graph.constants[name].shape)}]"
