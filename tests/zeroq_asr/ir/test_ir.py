"""The graph and its law."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from support.toy import toy_graph

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.text import print_graph
from zeroq_asr.ops import GraphBuilder, verify
from zeroq_asr.ops.base import output_length

GEOMETRY: dict[str, Any] = {"stride": 1, "dilation": 1, "padding": 1, "groups": 1, "masked": 1}


def small() -> GraphBuilder:
    b = GraphBuilder()
    b.input("mel", 2)
    b.constant("w", np.zeros((3, 2, 3), np.float32))
    return b


def test_text_is_stable() -> None:
    b = small()
    b.node("conv1d", ("mel", "w"), "y", 3, **GEOMETRY)
    assert print_graph(b.build(("y",))) == (
        "float graph (mel: float32[2]) -> (y)\n"
        "  y = conv1d(mel, w[3,2,3]) stride=1 dilation=1 padding=1 groups=1 masked=1 : float32[3]\n"
    )


def test_constants_and_attributes_cannot_be_changed() -> None:
    graph = toy_graph()
    with pytest.raises(ValueError, match="read-only"):
        graph.constants["head.bias"][0] = 1
    with pytest.raises(TypeError):
        graph.nodes[0].attrs["stride"] = 3  # type: ignore[index]


def test_a_graph_does_not_share_memory_with_its_maker() -> None:
    b, weight = small(), np.zeros((3, 2, 3), np.float32)
    b.constant("other", weight)
    b.node("conv1d", ("mel", "other"), "y", 3, **GEOMETRY)
    graph = b.build(("y",))
    weight[0, 0, 0] = 5
    assert graph.constants["other"][0, 0, 0] == 0


@pytest.mark.parametrize(
    ("op", "inputs", "channels", "attrs", "message"),
    [
        ("conv9d", ("mel", "w"), 3, GEOMETRY, "conv9d"),
        ("conv1d", ("mel",), 3, GEOMETRY, "constants"),
        ("conv1d", ("mel", "w", "w", "w"), 3, GEOMETRY, "constants"),
        ("conv1d", ("ghost", "w"), 3, GEOMETRY, "earlier node"),
        ("conv1d", ("mel", "ghost"), 3, GEOMETRY, "to be a constant"),
        ("conv1d", ("mel", "w"), 4, GEOMETRY, r"a weight \[4"),
        ("conv1d", ("mel", "w"), 3, GEOMETRY | {"groups": 2}, "a weight"),
        ("conv1d", ("mel", "w"), 3, GEOMETRY | {"stride": 0}, "stride >= 1"),
        ("conv1d", ("mel", "w"), 3, GEOMETRY | {"padding": -1}, "padding >= 0"),
        ("conv1d", ("mel", "w"), 3, GEOMETRY | {"stride": "1"}, "stride: int"),
        ("conv1d", ("mel", "w"), 3, {"stride": 1}, "attributes"),
        ("relu", ("mel",), 3, {}, "operands of 3"),
        ("add", (), 2, {}, "at least one operand"),
        ("argmax", ("mel",), 1, {}, "argmax"),
    ],
)
def test_the_law_refuses(
    op: str, inputs: tuple[str, ...], channels: int, attrs: dict[str, object], message: str
) -> None:
    b = small()
    b.node(op, inputs, "y", channels, **attrs)  # type: ignore[arg-type]
    with pytest.raises(GraphError, match=message):
        b.build(("y",))


def test_the_law_refuses_names_twice_and_missing_outputs() -> None:
    b = small()
    with pytest.raises(GraphError, match="used twice"):
        b.constant("mel", np.zeros(1, np.float32))
    with pytest.raises(GraphError, match="output"):
        b.build(("y",))


def test_an_integer_constant_is_an_error() -> None:
    b = GraphBuilder()
    b.input("mel", 2)
    b.constant("w", np.zeros((3, 2, 1), np.int8))
    b.node("conv1d", ("mel", "w"), "y", 3, stride=1, dilation=1, padding=0, groups=1, masked=0)
    with pytest.raises(GraphError, match="int8"):
        b.build(("y",))


def test_the_toy_graph_is_lawful() -> None:
    verify(toy_graph())


@pytest.mark.parametrize(("stride", "dilation", "padding"), [(1, 1, 0), (2, 1, 2), (1, 2, 4), (3, 2, 1)])
def test_output_length_is_what_torch_gives(stride: int, dilation: int, padding: int) -> None:
    import torch

    for frames in range(9, 30):
        y = torch.nn.functional.conv1d(torch.zeros(1, 1, frames), torch.zeros(1, 1, 5), None, stride, padding, dilation)
        assert y.shape[2] == output_length(frames, 5, stride, dilation, padding)
