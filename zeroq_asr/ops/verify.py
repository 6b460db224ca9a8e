"""The rules of float graphs, checked after every pass."""

from __future__ import annotations

from collections.abc import Mapping

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.base import FRAMES, Op, require
from zeroq_asr.ops.registry import OPS

_AT_LEAST: Mapping[str, int] = {
    **dict.fromkeys(
        ("kernel", "stride", "stride_h", "stride_t", "dilation", "groups", "height", "heads", "max_frames"), 1
    ),
    **dict.fromkeys(("padding", "padding_h", "padding_t"), 0),
}
"""The smallest value of an attribute, in every operation that has it."""


def verify(graph: Graph) -> None:
    """Raise GraphError if `graph` breaks a rule.

    Every node's operation is known and has the right operands, constants and attributes; every name is defined before
    it is read and only once; shapes and kinds of lengths agree; constants are real numbers.
    """
    defined: dict[str, str] = {}  # value -> kind of its length
    for name in graph.inputs:
        require(name in graph.values, f"graph input {name!r}", "a declared value", "none")
        defined[name] = FRAMES
    for node in graph.nodes:
        where = f"node {node.output!r}"
        if node.op not in OPS:
            raise GraphError(f"{where}: expected an operation of float graphs ({', '.join(OPS)}), got {node.op!r}")
        op = OPS[node.op]
        operands, constants = _split(graph, node, op)
        for name in operands:
            require(name in defined, where, f"{name!r} to be made by an earlier node", "no such node")
        require(node.output not in defined and node.output in graph.values, where, "an output value of its own", "none")
        _check_attributes(node, op)
        _check_constants(graph, node)
        defined[node.output] = _check_shapes(graph, node, op, operands, constants, defined)
    for name in graph.outputs:
        require(name in defined, f"graph output {name!r}", "a node that makes it", "none")
    for name, array in graph.constants.items():
        require(array.size > 0, f"constant {name!r}", "at least one element", f"shape {array.shape}")


def _check_shapes(
    graph: Graph,
    node: Node,
    op: Op,
    operands: tuple[str, ...],
    constants: Mapping[str, Array],
    defined: Mapping[str, str],
) -> str:
    """Return the kind of length of the node's value."""
    where = f"node {node.output!r} ({node.op})"
    out = graph.values[node.output].channels
    require(out >= 1, where, "at least one channel", out)
    op.check(where, node, [graph.values[name].channels for name in operands], out, constants)
    return op.length_kind(where, node, [defined[name] for name in operands], constants)


def _split(graph: Graph, node: Node, op: Op) -> tuple[tuple[str, ...], Mapping[str, Array]]:
    """Return a node's operands and its constants by role."""
    where = f"node {node.output!r}"
    count = op.operands
    if count is None:
        count = len(node.inputs) - len(op.constants)
        require(count >= 1, where, "at least one operand", "none")
    operands, names = node.inputs[:count], node.inputs[count:]
    least = len(op.constants) - op.optional
    require(
        len(operands) == count and least <= len(names) <= len(op.constants),
        where,
        f"{count} operand(s) and {least} to {len(op.constants)} constants {op.constants}",
        f"{len(node.inputs)} inputs",
    )
    for name in names:
        require(name in graph.constants, where, f"{name!r} to be a constant", "no such constant")
    return operands, {role: graph.constants[name] for role, name in zip(op.constants, names, strict=False)}


def _check_attributes(node: Node, op: Op) -> None:
    where = f"node {node.output!r} ({node.op})"
    expected = op.attributes
    require(set(node.attrs) == set(expected), where, f"attributes {sorted(expected)}", str(sorted(node.attrs)))
    for name, kind in expected.items():
        value = node.attrs[name]
        require(isinstance(value, kind) and not isinstance(value, bool), where, f"{name}: {kind.__name__}", repr(value))
        if name in _AT_LEAST:
            least = _AT_LEAST[name]
            require(node.integer(name) >= least, where, f"{name} >= {least}", str(value))


def _check_constants(graph: Graph, node: Node) -> None:
    where = f"node {node.output!r}"
    for name in (*node.inputs, node.output):
        if name in graph.constants:
            dtype = graph.constants[name].dtype
            require(dtype.kind == "f", where, f"constant {name!r} of real numbers", dtype)
        else:
            require(name in graph.values, where, f"a value or constant named {name!r}", "none")
