"""The graph of a float model.

A graph is immutable. Passes build new graphs; arrays in `constants` are read-only. Time is the last axis, a value has
the shape [B, channels, T], and T is never part of the graph: a model runs at any length. The integer program that a
graph is lowered to is an `int_kernels.Program`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
Attribute = int | float | str | tuple[int, ...]


@dataclass(frozen=True)
class Value:
    """A tensor [B, channels, T] that flows between nodes."""

    name: str
    channels: int


@dataclass(frozen=True)
class Node:
    """One operation with one output. `origin` is the module path in the checkpoint it came from; every pass keeps
    it."""

    op: str
    inputs: tuple[str, ...]
    output: str
    attrs: Mapping[str, Attribute] = field(default_factory=dict)
    origin: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "attrs", MappingProxyType(dict(self.attrs)))

    def integer(self, name: str) -> int:
        """Return the integer attribute `name` (the verifier has checked that it is there)."""
        value = self.attrs[name]
        assert isinstance(value, int)
        return value


def read_only(array: npt.ArrayLike) -> Array:
    """Return a C-contiguous array that nobody can write to. Always a copy unless `array` is read-only already."""
    result = np.asarray(array)
    if result.flags.writeable or not result.flags.c_contiguous:
        result = np.array(result, order="C")
        result.flags.writeable = False
    return result


@dataclass(frozen=True)
class Graph:
    """Nodes in execution order, the values between them and the constants they read.

    An input name of a node is either a value (made by an earlier node, or a graph input) or a constant.
    """

    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    nodes: tuple[Node, ...]
    values: Mapping[str, Value]
    constants: Mapping[str, Array]
    facts: frozenset[str] = frozenset()

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))
        object.__setattr__(
            self, "constants", MappingProxyType({name: read_only(array) for name, array in self.constants.items()})
        )

    def producer(self, value: str) -> Node | None:
        """Return the node that makes `value`, or None for a graph input."""
        return next((node for node in self.nodes if node.output == value), None)

    def consumers(self, value: str) -> tuple[Node, ...]:
        """Return the nodes that read `value`, in execution order."""
        return tuple(node for node in self.nodes if value in node.inputs)

    def with_nodes(
        self,
        nodes: Iterable[Node],
        values: Mapping[str, Value],
        constants: Mapping[str, Array],
        establishes: Iterable[str] = (),
    ) -> Graph:
        """Return this graph with another body and with the facts in `establishes` added."""
        return Graph(
            self.inputs,
            self.outputs,
            tuple(nodes),
            values,
            constants,
            self.facts | frozenset(establishes),
        )
