"""The shapes, dtypes and length kinds that the law of each operation asks for, as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from int_kernels.int_type import IntType
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Array, Graph, Node

_CONSTANT_DTYPES: Mapping[str, np.dtype[np.generic]] = {
    "weight": np.dtype(np.int8),
    "bias": np.dtype(np.int32),
    "multiplier": np.dtype(np.int32),
    "multipliers": np.dtype(np.int32),
    "shift": np.dtype(np.int8),
    "offset": np.dtype(np.int64),
    "table": np.dtype(np.int16),
    "fine": np.dtype(np.int16),
    "coarse": np.dtype(np.int16),
    "content": np.dtype(np.int32),
    "position": np.dtype(np.int32),
}
"""Of integer graphs; every constant of a float graph is of a real type."""

_PER_CHANNEL = ("bias", "multiplier", "shift", "offset", "mean", "var", "gamma", "beta")
"""Roles with one number per output channel, unless _SHAPES says otherwise."""


_SHAPES: Mapping[tuple[str, str], Callable[[int, int, Node], tuple[int, ...]]] = {
    # (operation, role): shape from (channels, operands, node); -1: any size
    ("sum", "multipliers"): lambda c, n, node: (n, c),
    ("rescale", "multipliers"): lambda c, n, node: (1, c),
    ("layer_norm", "multipliers"): lambda c, n, node: (c,),
    ("activation", "multiplier"): lambda c, n, node: (n, c),
    ("activation", "shift"): lambda c, n, node: (n, c),
    ("positions", "fine"): lambda c, n, node: (2, c // 2, 64),
    ("positions", "coarse"): lambda c, n, node: (2, c // 2, -1),
    ("attention", "content"): lambda c, n, node: (node.integer("heads"),),
    ("attention", "position"): lambda c, n, node: (node.integer("heads"),),
}

ACTIVATIONS: Mapping[str, int] = {"sigmoid": 1, "tanh": 1, "swish": 1, "gelu": 1, "glu": 2}
"""Kinds of the integer operation `activation` and how many operands each has."""

FRAMES, POSITIONS, ONCE = "frames", "positions", "once"


def check_shapes(graph: Graph, node: Node, operands: tuple[str, ...], constants: Mapping[str, Array]) -> None:
    """Raise GraphError unless channels, constants and attributes of `node` fit together."""
    where = f"node {node.output!r} ({node.op})"
    channels = [graph.values[name].channels for name in operands]
    out = graph.values[node.output].channels
    require(out >= 1, where, "at least one channel", out)
    if graph.dialect == "integer":
        for role, array in constants.items():
            needed = _CONSTANT_DTYPES[role]
            if array.dtype != needed:  # not by `require`: numpy writes a dtype slowly, and most are right
                raise GraphError(f"{where}: expected {role} as {needed}, got {array.dtype}")
    rows = out  # one number per output channel; of a conv2d: per feature map
    if node.op == "conv2d":
        rows = _check_conv2d(node, where, channels[0], out, constants["weight"].shape)
    elif "weight" in constants:
        _check_conv1d(node, where, channels[0], out, constants["weight"].shape)
    elif node.op == "argmax":
        is_index = out == 1 and graph.values[node.output].type == IntType(32, signed=True)
        require(is_index, where, "one int32 channel", out)
    else:
        require(all(count == out for count in channels), where, f"operands of {out} channels", channels)
    for role, array in constants.items():
        _check_constant(node, where, role, array.shape, rows, len(operands))
    _check_particulars(graph, node, where, operands, constants)


def _check_conv1d(node: Node, where: str, channels: int, out: int, shape: tuple[int, ...]) -> None:
    groups = node.integer("groups")
    fits = len(shape) == 3 and shape[0] == out and channels % groups == 0 and out % groups == 0
    require(fits and shape[1] == channels // groups, where, f"a weight [{out}, {channels} / {groups}, K]", shape)


def _check_conv2d(node: Node, where: str, channels: int, out: int, shape: tuple[int, ...]) -> int:
    """Return the number of feature maps that come out."""
    height, groups = node.integer("height"), node.integer("groups")
    require(channels % height == 0, where, f"channels that {height} rows divide", channels)
    maps = channels // height
    fits = len(shape) == 4 and maps % groups == 0 and shape[0] % groups == 0 and shape[1] == maps // groups
    require(fits, where, f"a weight [O, {maps} / {groups}, KH, KT]", shape)
    rows = output_rows(node, shape[2])
    require(rows >= 1, where, f"a kernel that fits into {height} rows", shape)
    require(out == shape[0] * rows, where, f"{shape[0]} maps of {rows} rows as output", f"{out} channels")
    return shape[0]


def output_rows(node: Node, kernel: int) -> int:
    """Return H' of a conv2d whose weight has `kernel` rows: floor((H + 2 p - KH) / s) + 1."""
    return (node.integer("height") + 2 * node.integer("padding_h") - kernel) // node.integer("stride_h") + 1


def _check_constant(node: Node, where: str, role: str, shape: tuple[int, ...], rows: int, operands: int) -> None:
    if (node.op, role) in _SHAPES:
        needed = _SHAPES[node.op, role](rows, operands, node)
        fits = len(shape) == len(needed) and all(n in (size, -1) for n, size in zip(needed, shape, strict=True))
        require(fits, where, f"{role} {_text(needed)}", shape)
    elif role in _PER_CHANNEL:
        one_for_all = node.op in ("mean", "attention") and shape == (1,)
        require(shape == (rows,) or one_for_all, where, f"{role} [{rows}]", shape)


def _check_particulars(
    graph: Graph, node: Node, where: str, operands: tuple[str, ...], constants: Mapping[str, Array]
) -> None:
    out = graph.values[node.output].channels
    if node.op == "attention":
        heads = node.integer("heads")
        require(out % heads == 0, where, "heads that divide the channels", f"{heads} heads, {out} channels")
    elif node.op == "positions":
        require(out % 2 == 0, where, "an even number of channels", out)
    elif node.op == "lookup":
        type = graph.values[operands[0]].type
        is_code = isinstance(type, IntType) and type.bits <= 8
        require(is_code, where, "codes of at most 8 bits to look up", str(type))
        size = 1 << type.bits if isinstance(type, IntType) else 0
        require(constants["table"].shape == (size,), where, f"a table [{size}]", str(constants["table"].shape))
    elif node.op == "activation":
        kind = node.attrs["kind"]
        require(kind in ACTIVATIONS, where, f"a kind of {', '.join(ACTIVATIONS)}", repr(kind))
        needed = ACTIVATIONS[str(kind)]
        require(len(operands) == needed, where, f"{needed} operand(s) for {kind}", str(len(operands)))


def length_kind(node: Node, kinds: Sequence[str], constants: Mapping[str, Array]) -> str:
    """Return the kind of length of a node's output, from those of its operands.

    "frames": L; "positions": 2 L - 1, the relative positions of L frames; "once": 1. Raises GraphError.
    """
    where = f"node {node.output!r} ({node.op})"
    if node.op == "attention":
        needed = [FRAMES] * 4 + [POSITIONS]
        require(list(kinds) == needed, where, "four operands of frames and one of positions", ", ".join(kinds))
        return FRAMES
    if node.op in ("positions", "mean"):
        require(kinds[0] == FRAMES, where, "an operand of frames", kinds[0])
        return POSITIONS if node.op == "positions" else ONCE
    if node.op == "multiply":
        require(kinds[1] in (kinds[0], ONCE), where, f"a second operand of {kinds[0]} or once", kinds[1])
        return kinds[0]
    require(len(set(kinds)) == 1, where, "operands of one kind of length", ", ".join(kinds))
    if "weight" in constants and kinds[0] != FRAMES:
        sizes = constants["weight"].shape[2:]
        steps = [node.integer(name) for name in ("stride", "stride_t") if name in node.attrs]
        paddings = [node.integer(name) for name in ("padding", "padding_t") if name in node.attrs]
        fits = sizes == (1,) and steps == [1] and paddings == [0]
        require(fits, where, f"kernel 1, stride 1, padding 0 on {kinds[0]}", f"kernel {sizes}, {steps}, {paddings}")
    return kinds[0]


def _text(shape: tuple[int, ...]) -> str:
    return "[" + ", ".join("N" if size < 0 else str(size) for size in shape) + "]"


def require(condition: bool, where: str, expected: str, got: object) -> None:
    """Raise GraphError unless `condition` holds; only then is `got` formatted."""
    if not condition:
        raise GraphError(f"{where}: expected {expected}, got {got}")
