"""The law of each operation of both dialects: one lawful node, and what is wrong with its neighbours."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.toy_conformer import toy_conformer

from int_kernels import IntType
from zeroq_asr.errors import GraphError
from zeroq_asr.ir import FLOAT, Graph, GraphBuilder, verify
from zeroq_asr.ir.ops import OPS
from zeroq_asr.ir.types import Dialect

C = 4
MAP = {"height": 2, "stride_h": 1, "stride_t": 1, "padding_h": 1, "padding_t": 1, "groups": 1}
CLIP = {"lo": -128, "hi": 127}
FRAMES5 = ("x", "x", "x", "x", "p")

# (dialect, op): operands, {constant: (dtype, shape)}, output channels, attributes
LAWFUL: dict[
    tuple[Dialect, str], tuple[tuple[str, ...], dict[str, tuple[str, tuple[int, ...]]], int, dict[str, Any]]
] = {
    ("float", "conv2d"): (("x",), {"weight": ("f4", (3, 2, 3, 3)), "bias": ("f4", (3,))}, 6, {**MAP, "masked": 1}),
    ("float", "layer_norm"): (("x",), {"gamma": ("f4", (C,)), "beta": ("f4", (C,))}, C, {"eps": 1e-5}),
    ("float", "glu"): (("x", "x"), {}, C, {}),
    ("float", "multiply"): (("x", "once"), {}, C, {}),
    ("float", "scale"): (("x",), {}, C, {"factor": 0.5}),
    ("float", "add_bias"): (("x",), {"bias": ("f4", (C,))}, C, {}),
    ("float", "positions"): (("x",), {}, C, {"max_frames": 5000}),
    ("float", "attention"): (FRAMES5, {}, C, {"heads": 2}),
    ("integer", "conv2d"): (
        ("x",),
        {"weight": ("i1", (3, 2, 3, 3)), "bias": ("i4", (3,)), "multiplier": ("i4", (3,)), "shift": ("i1", (3,))},
        6,
        {**MAP, **CLIP, "bits": 8},
    ),
    ("integer", "rescale"): (
        ("x",),
        {"multipliers": ("i4", (1, C)), "shift": ("i1", (C,)), "offset": ("i8", (C,))},
        C,
        CLIP,
    ),
    ("integer", "sum"): (("x", "x"), {"multipliers": ("i4", (2, C)), "shift": ("i1", (C,))}, C, CLIP),
    ("integer", "mean"): (("x",), {"multiplier": ("i4", (1,)), "shift": ("i1", (1,))}, C, CLIP),
    ("integer", "lookup"): (("x",), {"table": ("i2", (256,))}, C, {}),
    ("integer", "activation"): (
        ("x", "x"),
        {"multiplier": ("i4", (2, C)), "shift": ("i1", (2, C))},
        C,
        {"kind": "glu", "out_multiplier": 1 << 30, "out_shift": 30, "offset": 0, **CLIP},
    ),
    ("integer", "layer_norm"): (
        ("x",),
        {"multipliers": ("i4", (C,)), "shift": ("i1", (C,)), "offset": ("i8", (C,))},
        C,
        {"epsilon": 1, **CLIP},
    ),
    ("integer", "positions"): (("x",), {"fine": ("i2", (2, C // 2, 64)), "coarse": ("i2", (2, C // 2, 79))}, C, {}),
    ("integer", "attention"): (
        FRAMES5,
        {"content": ("i4", (2,)), "position": ("i4", (2,)), "multiplier": ("i4", (C,)), "shift": ("i1", (C,))},
        C,
        {"heads": 2, "score_shift": 20, **CLIP},
    ),
}


def build(dialect: Dialect, op: str, **changes: Any) -> Graph:
    """A graph of one node (and the makers of its odd operands), with the constants or attributes in `changes`."""
    operands, constants, channels, attrs = LAWFUL[dialect, op]
    type = FLOAT if dialect == "float" else IntType(8, signed=True)
    b = GraphBuilder(dialect)
    x = b.input("x", C, type)
    if "p" in operands:
        tables = LAWFUL["integer", "positions"][1] if dialect == "integer" else {}
        names = [b.constant(f"p.{role}", np.ones(shape, dtype)) for role, (dtype, shape) in tables.items()]
        b.node("positions", (x, *names), "p", C, type=type, **({} if tables else {"max_frames": 9}))
    if "once" in operands:
        b.node("mean", (x,), "once", C, type=type)
    operands = changes.pop("operands", operands)
    specs = {role: changes.pop(role, constants[role]) for role in constants}
    names = [b.constant(role, np.ones(shape, dtype)) for role, (dtype, shape) in specs.items()]
    channels = changes.pop("channels", channels)
    b.node(op, (*operands, *names), "y", channels, type=type, **{**attrs, **changes})
    return b.build(("y",))


@pytest.mark.parametrize(("dialect", "op"), LAWFUL)
def test_lawful_nodes_pass(dialect: Dialect, op: str) -> None:
    verify(build(dialect, op))


@pytest.mark.parametrize(("dialect", "op"), LAWFUL)
def test_every_constant_has_one_dtype_and_one_shape(dialect: Dialect, op: str) -> None:
    for role, (dtype, shape) in LAWFUL[dialect, op][1].items():
        needed = f"a {role}" if role in ("weight", "table") else f"{role} "
        others = {"weight": (shape[0], 3, *shape[2:]), "table": (128,)}
        with pytest.raises(GraphError, match=needed):
            build(dialect, op, **{role: (dtype, others.get(role, (shape[0] + 1, *shape[1:])))})
        with pytest.raises(GraphError, match=needed.strip()):
            build(dialect, op, **{role: (dtype, (*shape, 1))})
        with pytest.raises(GraphError, match=role):
            build(dialect, op, **{role: ("i2" if dtype != "i2" else "i4", shape)})


@pytest.mark.parametrize(("dialect", "op"), LAWFUL)
def test_every_attribute_is_needed_and_typed(dialect: Dialect, op: str) -> None:
    for name, value in LAWFUL[dialect, op][3].items():
        with pytest.raises(GraphError, match=name):
            build(dialect, op, **{name: 1 if isinstance(value, str) else "1"})
    with pytest.raises(GraphError, match="attributes"):
        build(dialect, op, surplus=1)


@pytest.mark.parametrize(
    ("dialect", "op", "changes", "message"),
    [
        ("float", "conv2d", {"height": 3}, "3 rows divide"),
        ("float", "conv2d", {"height": 0}, "height >= 1"),
        ("float", "conv2d", {"stride_h": 0}, "stride_h >= 1"),
        ("float", "conv2d", {"padding_t": -1}, "padding_t >= 0"),
        ("float", "conv2d", {"padding_h": 0}, "fits into 2 rows"),
        ("float", "conv2d", {"channels": 3}, "3 maps of 2 rows"),
        ("float", "conv2d", {"groups": 2}, "a weight"),
        ("float", "attention", {"heads": 3}, "heads that divide"),
        ("integer", "attention", {"heads": 3, "content": ("i4", (3,)), "position": ("i4", (3,))}, "heads that divide"),
        ("integer", "attention", {"operands": ("x",) * 5}, "four operands of frames and one of positions"),
        ("float", "multiply", {"operands": ("once", "x")}, "second operand of once"),
        ("integer", "activation", {"kind": "swish"}, r"1 operand\(s\) for swish"),
        ("integer", "activation", {"kind": "cube"}, "a kind of sigmoid"),
        ("float", "glu", {"channels": 3}, "operands of 3 channels"),
    ],
)
def test_particulars(dialect: Dialect, op: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        build(dialect, op, **changes)


@pytest.mark.parametrize(("kernel", "padding", "lawful"), [(1, 0, True), (3, 1, False), (1, 1, False)])
def test_positions_pass_through_layers_over_channels_only(kernel: int, padding: int, lawful: bool) -> None:
    b = GraphBuilder()
    p = b.node("positions", (b.input("x", C),), "p", C, max_frames=9)
    weight = b.constant("w", np.zeros((C, C, kernel), np.float32))
    b.node("conv1d", (p, weight), "y", C, stride=1, dilation=1, padding=padding, groups=1, masked=0)
    if lawful:
        b.build(("y",))
    else:
        with pytest.raises(GraphError, match="on positions"):
            b.build(("y",))


def test_lengths_of_different_kinds_cannot_be_added() -> None:
    b = GraphBuilder()
    x = b.input("x", C)
    b.node("add", (x, b.node("mean", (x,), "mean", C)), "y", C)
    with pytest.raises(GraphError, match="one kind of length"):
        b.build(("y",))


def test_positions_need_an_even_number_of_channels() -> None:
    b = GraphBuilder()
    b.node("positions", (b.input("x", 3),), "p", 3, max_frames=9)
    with pytest.raises(GraphError, match="even number"):
        b.build(("p",))


def test_a_whole_conformer_is_lawful_and_prints() -> None:
    from zeroq_asr.ir.text import print_graph

    text = print_graph(toy_conformer())
    line = "  layers.0.feed_forward1.half"
    assert f"{line} = scale(layers.0.feed_forward1.linear2) factor=0.5 : float32[16]\n" in text


def test_every_operation_is_in_one_of_the_tests() -> None:
    plain = {"conv1d", "batch_norm", "relu", "add", "accumulate", "argmax", "sigmoid", "tanh", "swish", "gelu"}
    assert {op for _, op in OPS} == plain | {op for _, op in LAWFUL}
