"""The law of each dialect, checked after every pass."""

from __future__ import annotations

from collections.abc import Mapping

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.ops import OPS, OpSpec
from zeroq_asr.ir.types import FLOAT, Array, Graph, Node
from zeroq_asr.ir.verify_shapes import FRAMES, check_shapes, length_kind, require

_AT_LEAST: Mapping[str, int] = {
    **dict.fromkeys(("stride", "stride_h", "stride_t", "dilation", "groups", "height", "heads", "max_frames"), 1),
    **dict.fromkeys(("padding", "padding_h", "padding_t"), 0),
}
"""The smallest value of an attribute, in every operation that has it."""


def verify(graph: Graph) -> None:
    """Raise GraphError if `graph` breaks the law of its dialect.

    Every node's operation is in the table with the right operands, constants and attributes; every name is defined
    before it is read and only once; shapes and kinds of lengths agree; a float graph holds float32 constants only, an
    integer graph integers only.
    """
    defined: dict[str, str] = {}  # value -> kind of its length
    for name in graph.inputs:
        require(name in graph.values, f"graph input {name!r}", "a declared value", "none")
        defined[name] = FRAMES
    for node in graph.nodes:
        spec = OPS.get((graph.dialect, node.op))
        where = f"node {node.output!r}"
        if spec is None:
            known = ", ".join(op for dialect, op in OPS if dialect == graph.dialect)
            raise GraphError(
                f"{where}: expected an operation of the {graph.dialect} dialect ({known}), got {node.op!r}"
            )
        operands, constants = _split(graph, node, spec)
        for name in operands:
            require(name in defined, where, f"{name!r} to be made by an earlier node", "no such node")
        require(node.output not in defined and node.output in graph.values, where, "an output value of its own", "none")
        _check_attributes(node, spec)
        _check_types(graph, node)
        check_shapes(graph, node, operands, constants)
        defined[node.output] = length_kind(node, [defined[name] for name in operands], constants)
    for name in graph.outputs:
        require(name in defined, f"graph output {name!r}", "a node that makes it", "none")
    for name, array in graph.constants.items():
        require(array.size > 0, f"constant {name!r}", "at least one element", f"shape {array.shape}")


def _split(graph: Graph, node: Node, spec: OpSpec) -> tuple[tuple[str, ...], Mapping[str, Array]]:
    """Return a node's operands and its constants by role."""
    where = f"node {node.output!r}"
    count = spec.operands
    if count is None:
        count = len(node.inputs) - len(spec.constants)
        require(count >= 1, where, "at least one operand", "none")
    operands, names = node.inputs[:count], node.inputs[count:]
    least = len(spec.constants) - spec.optional
    require(
        len(operands) == count and least <= len(names) <= len(spec.constants),
        where,
        f"{count} operand(s) and {least} to {len(spec.constants)} constants {spec.constants}",
        f"{len(node.inputs)} inputs",
    )
    for name in names:
        require(name in graph.constants, where, f"{name!r} to be a constant", "no such constant")
    return operands, {role: graph.constants[name] for role, name in zip(spec.constants, names, strict=False)}


def _check_attributes(node: Node, spec: OpSpec) -> None:
    where = f"node {node.output!r} ({node.op})"
    require(set(node.attrs) == set(spec.attrs), where, f"attributes {sorted(spec.attrs)}", str(sorted(node.attrs)))
    for name, kind in spec.attrs.items():
        value = node.attrs[name]
        require(isinstance(value, kind) and not isinstance(value, bool), where, f"{name}: {kind.__name__}", repr(value))
    for name in spec.attrs:
        if name in _AT_LEAST:
            least = _AT_LEAST[name]
            require(node.integer(name) >= least, where, f"{name} >= {least}", str(node.attrs[name]))


def _check_types(graph: Graph, node: Node) -> None:
    where = f"node {node.output!r}"
    for name in (*node.inputs, node.output):
        if name in graph.constants:
            kind = graph.constants[name].dtype.kind
            needed = "f" if graph.dialect == "float" else "i"
            require(
                kind == needed,
                where,
                f"constant {name!r} of the {graph.dialect} dialect",
                graph.constants[name].dtype,
            )
        else:
            require(name in graph.values, where, f"a value or constant named {name!r}", "none")
            is_float = graph.values[name].type == FLOAT
            require(
                is_float == (graph.dialect == "float"),
                where,
                f"{name!r} of the {graph.dialect} dialect",
                graph.values[name].type,
            )
