"""The law of each dialect, checked after every pass."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from int_kernels.int_type import IntType
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.ops import OPS, OpSpec
from zeroq_asr.ir.types import FLOAT, Array, Graph, Node

_CONSTANT_DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "weight": np.dtype(np.int8),
    "bias": np.dtype(np.int32),
    "multiplier": np.dtype(np.int32),
    "multipliers": np.dtype(np.int32),
    "shift": np.dtype(np.int8),
}


def verify(graph: Graph) -> None:
    """Raise GraphError if `graph` breaks the law of its dialect.

    Every node's operation is in the table with the right operands, constants and attributes; every name is defined
    before it is read and only once; shapes agree; a float graph holds float32 constants only, an integer graph
    integers only.
    """
    defined: set[str] = set()
    for name in graph.inputs:
        _require(name in graph.values, f"graph input {name!r}", "a declared value", "none")
        defined.add(name)
    for node in graph.nodes:
        spec = OPS.get((graph.dialect, node.op))
        where = f"node {node.output!r}"
        if spec is None:
            known = ", ".join(op for dialect, op in OPS if dialect == graph.dialect)
            raise GraphError(f"{where}: needed an operation of the {graph.dialect} dialect ({known}), came {node.op!r}")
        operands, constants = _split(graph, node, spec)
        for name in operands:
            _require(name in defined, where, f"{name!r} to be made by an earlier node", "no such node")
        _require(
            node.output not in defined and node.output in graph.values, where, "an output value of its own", "none"
        )
        _check_attributes(node, spec)
        _check_types(graph, node)
        _check_shapes(graph, node, operands, constants)
        defined.add(node.output)
    for name in graph.outputs:
        _require(name in defined, f"graph output {name!r}", "a node that makes it", "none")
    for name, array in graph.constants.items():
        _require(array.size > 0, f"constant {name!r}", "at least one element", f"shape {array.shape}")


def _split(graph: Graph, node: Node, spec: OpSpec) -> tuple[tuple[str, ...], Mapping[str, Array]]:
    """Return a node's operands and its constants by role."""
    where = f"node {node.output!r}"
    count = spec.operands
    if count is None:
        count = len(node.inputs) - len(spec.constants)
        _require(count >= 1, where, "at least one operand", "none")
    operands, names = node.inputs[:count], node.inputs[count:]
    least = len(spec.constants) - spec.optional
    _require(
        len(operands) == count and least <= len(names) <= len(spec.constants),
        where,
        f"{count} operand(s) and {least} to {len(spec.constants)} constants {spec.constants}",
        f"{len(node.inputs)} inputs",
    )
    for name in names:
        _require(name in graph.constants, where, f"{name!r} to be a constant", "no such constant")
    return operands, {role: graph.constants[name] for role, name in zip(spec.constants, names, strict=False)}


def _check_attributes(node: Node, spec: OpSpec) -> None:
    where = f"node {node.output!r} ({node.op})"
    _require(set(node.attrs) == set(spec.attrs), where, f"attributes {sorted(spec.attrs)}", str(sorted(node.attrs)))
    for name, kind in spec.attrs.items():
        value = node.attrs[name]
        _require(
            isinstance(value, kind) and not isinstance(value, bool), where, f"{name}: {kind.__name__}", repr(value)
        )
    for name in ("stride", "dilation", "groups"):
        if name in spec.attrs:
            _require(node.integer(name) >= 1, where, f"{name} >= 1", str(node.attrs[name]))
    if "padding" in spec.attrs:
        _require(node.integer("padding") >= 0, where, "padding >= 0", str(node.attrs["padding"]))


def _check_types(graph: Graph, node: Node) -> None:
    where = f"node {node.output!r}"
    for name in (*node.inputs, node.output):
        if name in graph.constants:
            kind = graph.constants[name].dtype.kind
            needed = "f" if graph.dialect == "float" else "i"
            _require(
                kind == needed,
                where,
                f"constant {name!r} of the {graph.dialect} dialect",
                str(graph.constants[name].dtype),
            )
        else:
            _require(name in graph.values, where, f"a value or constant named {name!r}", "none")
            is_float = graph.values[name].type == FLOAT
            _require(
                is_float == (graph.dialect == "float"),
                where,
                f"{name!r} of the {graph.dialect} dialect",
                str(graph.values[name].type),
            )


def _check_shapes(graph: Graph, node: Node, operands: tuple[str, ...], constants: Mapping[str, Array]) -> None:
    where = f"node {node.output!r} ({node.op})"
    channels = [graph.values[name].channels for name in operands]
    out = graph.values[node.output].channels
    _require(out >= 1, where, "at least one channel", str(out))
    if graph.dialect == "integer":
        for role, array in constants.items():
            _require(
                array.dtype == _CONSTANT_DTYPES[role], where, f"{role} as {_CONSTANT_DTYPES[role]}", str(array.dtype)
            )
    if "weight" in constants:
        shape, groups = constants["weight"].shape, node.integer("groups")
        fits = len(shape) == 3 and shape[0] == out and channels[0] % groups == 0 and out % groups == 0
        fits = fits and shape[1] == channels[0] // groups
        _require(fits, where, f"a weight [{out}, {channels[0]} / {groups}, K]", str(shape))
    elif node.op == "argmax":
        _require(
            out == 1 and graph.values[node.output].type == IntType(32, signed=True),
            where,
            "one int32 channel",
            str(out),
        )
    else:
        _require(all(count == out for count in channels), where, f"operands of {out} channels", str(channels))
    if node.op == "sum":
        shape = constants["multipliers"].shape
        _require(shape == (len(operands), out), where, f"multipliers [{len(operands)}, {out}]", str(shape))
    for role in ("bias", "multiplier", "shift", "mean", "var", "gamma", "beta"):
        if role in constants:
            shape = constants[role].shape
            _require(shape == (out,), where, f"{role} [{out}]", str(shape))


def _require(condition: bool, where: str, needed: str, came: str) -> None:
    if not condition:
        raise GraphError(f"{where}: needed {needed}, came {came}")
