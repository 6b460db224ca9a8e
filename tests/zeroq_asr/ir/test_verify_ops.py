"""The rules of each operation: one valid node, and what is wrong with its neighbours."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from support.toy_conformer import toy_conformer

from zeroq_asr.errors import GraphError
from zeroq_asr.ir import Graph
from zeroq_asr.ops import OPS, GraphBuilder, verify

C = 4
MAP = {"height": 2, "stride_h": 1, "stride_t": 1, "padding_h": 1, "padding_t": 1, "groups": 1}
FRAMES5 = ("x", "x", "x", "x", "p")

# op: operands, {constant: (dtype, shape)}, output channels, attributes
VALID: dict[str, tuple[tuple[str, ...], dict[str, tuple[str, tuple[int, ...]]], int, dict[str, Any]]] = {
    "conv2d": (("x",), {"weight": ("f4", (3, 2, 3, 3)), "bias": ("f4", (3,))}, 6, {**MAP, "masked": 1}),
    "layer_norm": (("x",), {"gamma": ("f4", (C,)), "beta": ("f4", (C,))}, C, {"eps": 1e-5}),
    "glu": (("x", "x"), {}, C, {}),
    "multiply": (("x", "once"), {}, C, {}),
    "scale": (("x",), {}, C, {"factor": 0.5}),
    "add_bias": (("x",), {"bias": ("f4", (C,))}, C, {}),
    "positions": (("x",), {}, C, {"max_frames": 5000}),
    "attention": (FRAMES5, {}, C, {"heads": 2}),
}


def build(op: str, **changes: Any) -> Graph:
    """A graph of one node (and the makers of its odd operands), with the constants or attributes in `changes`."""
    operands, constants, channels, attrs = VALID[op]
    b = GraphBuilder()
    x = b.input("x", C)
    if "p" in operands:
        b.node("positions", (x,), "p", C, max_frames=9)
    if "once" in operands:
        b.node("mean", (x,), "once", C)
    operands = changes.pop("operands", operands)
    specs = {role: changes.pop(role, constants[role]) for role in constants}
    names = [b.constant(role, np.ones(shape, dtype)) for role, (dtype, shape) in specs.items()]
    channels = changes.pop("channels", channels)
    b.node(op, (*operands, *names), "y", channels, **{**attrs, **changes})
    return b.build(("y",))


@pytest.mark.parametrize("op", VALID)
def test_valid_nodes_pass(op: str) -> None:
    verify(build(op))


@pytest.mark.parametrize("op", VALID)
def test_every_constant_has_one_dtype_and_one_shape(op: str) -> None:
    for role, (dtype, shape) in VALID[op][1].items():
        expected = "a weight" if role == "weight" else f"{role} "
        others = {"weight": (shape[0], 3, *shape[2:])}
        with pytest.raises(GraphError, match=expected):
            build(op, **{role: (dtype, others.get(role, (shape[0] + 1, *shape[1:])))})
        with pytest.raises(GraphError, match=expected.strip()):
            build(op, **{role: (dtype, (*shape, 1))})
        with pytest.raises(GraphError, match=role):
            build(op, **{role: ("i2", shape)})


@pytest.mark.parametrize("op", VALID)
def test_every_attribute_is_needed_and_typed(op: str) -> None:
    for name, value in VALID[op][3].items():
        with pytest.raises(GraphError, match=name):
            build(op, **{name: 1 if isinstance(value, str) else "1"})
    with pytest.raises(GraphError, match="attributes"):
        build(op, surplus=1)


@pytest.mark.parametrize(
    ("op", "changes", "message"),
    [
        ("conv2d", {"height": 3}, "3 rows divide"),
        ("conv2d", {"height": 0}, "height >= 1"),
        ("conv2d", {"stride_h": 0}, "stride_h >= 1"),
        ("conv2d", {"padding_t": -1}, "padding_t >= 0"),
        ("conv2d", {"padding_h": 0}, "fits into 2 rows"),
        ("conv2d", {"channels": 3}, "3 maps of 2 rows"),
        ("conv2d", {"groups": 2}, "a weight"),
        ("attention", {"heads": 3}, "heads that divide"),
        ("attention", {"operands": ("x",) * 5}, "four operands of frames and one of positions"),
        ("multiply", {"operands": ("once", "x")}, "second operand of once"),
        ("glu", {"channels": 3}, "operands of 3 channels"),
    ],
)
def test_particulars(op: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphError, match=message):
        build(op, **changes)


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
    plain = {"conv1d", "batch_norm", "relu", "add", "mean", "sigmoid", "tanh", "swish", "gelu"}
    own = {
        path.stem.removeprefix("test_") for path in (Path(__file__).parents[2] / "int_kernels/ops").glob("test_*.py")
    }
    assert set(OPS) == plain | set(VALID) | own
