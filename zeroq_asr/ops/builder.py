"""Building graphs node by node: for adapters and for tests."""

from __future__ import annotations

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Attribute, Graph, Node, Value
from zeroq_asr.ops.verify import verify


class GraphBuilder:
    """Collects nodes in execution order; `build` verifies and freezes them.

    >>> b = GraphBuilder()
    >>> x = b.input("mel", 64)
    >>> w = b.constant("conv.weight", weight)               # [C_out, C_in / groups, K]
    >>> y = b.node("conv1d", (x, w), "conv", 32, stride=1, dilation=1, padding=1, groups=1, masked=1)
    >>> graph = b.build(outputs=(y,))
    """

    def __init__(self) -> None:
        self._inputs: list[str] = []
        self._nodes: list[Node] = []
        self._values: dict[str, Value] = {}
        self._constants: dict[str, Array] = {}

    def input(self, name: str, channels: int) -> str:
        """Declare the graph input `name` with shape [B, channels, T]."""
        self._claim(name)
        self._inputs.append(name)
        self._values[name] = Value(name, channels)
        return name

    def constant(self, name: str, array: Array) -> str:
        """Store `array` under `name` and return the name."""
        self._claim(name)
        self._constants[name] = array
        return name

    def node(
        self,
        op: str,
        inputs: tuple[str, ...],
        name: str,
        channels: int,
        *,
        origin: str | None = None,
        **attrs: Attribute,
    ) -> str:
        """Append a node whose output value is `name` with `channels` channels; return `name`."""
        self._claim(name)
        self._nodes.append(Node(op, inputs, name, attrs, name if origin is None else origin))
        self._values[name] = Value(name, channels)
        return name

    def build(self, outputs: tuple[str, ...]) -> Graph:
        """Return the verified graph. Raises GraphError."""
        graph = Graph(tuple(self._inputs), outputs, tuple(self._nodes), self._values, self._constants)
        verify(graph)
        return graph

    def _claim(self, name: str) -> None:
        if name in self._values or name in self._constants:
            raise GraphError(f"graph: the name {name!r} is used twice; every value and constant needs its own")
