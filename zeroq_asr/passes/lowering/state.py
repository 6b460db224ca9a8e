"""The integer graph while it grows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from int_kernels.int_type import INT32, IntType
from zeroq_asr.analyses.roles import Role
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Attribute, Graph, Node, Value
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.weights import RoundedWeights


@dataclass(frozen=True)
class Operand:
    """An integer value as its readers see it: real = scales[c] * integer, |integer| <= reach[c]."""

    name: str
    scales: npt.NDArray[np.float64]
    reach: list[int]


@dataclass
class Lowering:
    """What is given (the float graph, the role and the code of its values, weights that are rounded already) and what
    has been made of it so far."""

    graph: Graph
    roles: Mapping[str, Role]
    qparams: Mapping[str, QuantParams]
    config: QuantizeConfig
    rounded: Mapping[str, RoundedWeights] = field(default_factory=dict)
    nodes: list[Node] = field(default_factory=list)
    values: dict[str, Value] = field(default_factory=dict)
    constants: dict[str, Array] = field(default_factory=dict)
    accumulators: dict[str, Operand] = field(default_factory=dict)
    producers: dict[str, Node] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.producers = {node.output: node for node in self.graph.nodes}

    def channels(self, name: str) -> int:
        """C of a value of the float graph."""
        return self.graph.values[name].channels

    def code(self, name: str) -> QuantParams:
        """Return the code of a stored value."""
        return self.qparams[name]

    def one_scale(self, name: str, reader: Node) -> float:
        """Return the scale of a stored value that must have a single one. Raises GraphError."""
        params = self.qparams[name]
        if params.channel_factors is not None or params.offset:
            raise GraphError(f"node {reader.output!r}: expected {name!r} with one scale and no offset; it has others")
        return params.scale

    def operand(self, name: str) -> Operand:
        """Return an accumulator or a stored value that has been made already."""
        if name in self.accumulators:
            return self.accumulators[name]
        params, channels = self.qparams[name], self.channels(name)
        if params.offset:
            raise GraphError(f"value {name!r}: only linear layers can read a code with an offset")
        return Operand(name, params.scales(channels), [max(-params.type.lo, params.type.hi)] * channels)

    def emit(
        self,
        op: str,
        operands: tuple[str, ...],
        name: str,
        channels: int,
        type: IntType,
        origin: str,
        attrs: Mapping[str, Attribute],
        constants: Mapping[str, Array],
        owner: str | None = None,
    ) -> None:
        """Append a node that makes `name`; its constants are called after `owner`, or after the value itself."""
        names = tuple(f"{name if owner is None else owner}.{role}" for role in constants)
        self.constants.update(zip(names, constants.values(), strict=True))
        self.values[name] = Value(name, channels, type)
        self.nodes.append(Node(op, (*operands, *names), name, attrs, origin))

    def emit_accumulator(
        self,
        op: str,
        operands: tuple[str, ...],
        operand: Operand,
        origin: str,
        attrs: Mapping[str, Attribute],
        constants: Mapping[str, Array],
        owner: str | None = None,
    ) -> Operand:
        """Append a node that makes the int32 value `operand` and return it."""
        self.emit(op, operands, operand.name, len(operand.scales), INT32, origin, attrs, constants, owner)
        self.accumulators[operand.name] = operand
        return operand


def clip_of(params: QuantParams, relu: bool = False) -> dict[str, Attribute]:
    """Return the attributes lo and hi: the whole type, or from 0 on."""
    return {"lo": max(params.type.lo, 0) if relu else params.type.lo, "hi": params.type.hi}
