"""What each value becomes: golden roles of whole networks, and the questions about single values."""

from __future__ import annotations

from collections.abc import Mapping

from support.toy import toy_graph
from support.toy_networks import ToyBuilder, toy_citrinet, toy_conformer

from zeroq_asr.analyses.roles import (
    find_code_values,
    find_roles,
    is_depthwise_input,
    is_fixed,
    is_nonnegative,
    is_shiftable,
)
from zeroq_asr.passes.canonicalize import prepare


def by_role(roles: Mapping[str, str]) -> dict[str, str]:
    return {role: " ".join(name for name, r in roles.items() if r == role) for role in dict.fromkeys(roles.values())}


def test_roles_of_a_conformer() -> None:
    assert by_role(find_roles(prepare(toy_conformer()))) == {
        "code": "mel sub.relu positions 0.ff1.norm 0.ff1.swish 0.att.norm 0.att.k 0.att.v 0.att.p 0.att.qu 0.att.qv "
        "0.att.out 0.conv.norm 0.conv.glu 0.conv.swish 0.ff2.norm 0.ff2.swish 0.norm",
        "inner": "sub.0",
        "stream": "xscale 0.ff1.add 0.att.add 0.conv.add 0.ff2.add",
        "accumulator": "0.ff1.1 0.ff1.half 0.att.q 0.att.linear 0.conv.a 0.conv.b 0.conv.bn 0.conv.pw 0.ff2.1 "
        "0.ff2.half",
        "logits": "logits",
    }


def test_tables_look_at_codes() -> None:
    poly2, lut = (find_roles(prepare(toy_conformer()), way) for way in ("poly2", "lut"))
    assert {name: role for name, role in lut.items() if role != poly2[name]} == {
        "0.ff1.1": "code",
        "0.conv.a": "stream",  # multiplied by the table's result
        "0.conv.b": "code",
        "0.conv.bn": "code",
        "0.ff2.1": "code",
    }


def test_roles_of_squeeze_and_excite() -> None:
    graph = prepare(toy_citrinet())
    roles = find_roles(graph)
    assert by_role(roles) == {
        "code": "mel 0.bn 0.mean 0.fc.relu 0.relu 1.bn 1.mean 1.fc.relu 1.relu",
        "inner": "0.fc1 1.fc1 1.add",
        "accumulator": "0.fc2 0.se 1.fc2 1.se 1.rbn",
        "stream": "0.gate 1.gate",
        "logits": "logits",
    }
    assert [name for name, role in roles.items() if is_fixed(graph, name, role)] == ["0.gate", "1.gate"]


def test_a_quartznet_keeps_its_codes() -> None:
    expected = "mel c1.dw c1.relu b1.0.dw b1.0.relu b1.1.dw b1.relu c2.dw c2.relu"
    assert find_code_values(prepare(toy_graph())) == tuple(expected.split())


def test_an_accumulator_may_have_many_readers_that_round_but_none_that_needs_codes() -> None:
    b = ToyBuilder()
    shared = b.conv(b.mel, "shared", 6, 8)
    relu = b.node("relu", "relu", shared)
    graph = b.head(b.conv(b.node("add", "add", shared, b.conv(relu, "c", 8, 8)), "d", 8, 8))
    assert by_role(find_roles(graph)) == {
        "code": "mel relu add d",
        "accumulator": "shared c",
        "logits": "logits",
    }


def test_sums_of_sums_are_one() -> None:
    b = ToyBuilder()
    x, y, z = (b.conv(b.mel, name, 6, 8) for name in "xyz")
    inner = b.node("add", "inner", x, y)
    graph = b.head(b.node("relu", "relu", b.node("add", "outer", inner, z)))
    assert find_roles(graph)["inner"] == find_roles(graph)["outer"] == "inner"
    b = ToyBuilder()
    double = b.node("add", "twice", *[b.node("add", "once", b.conv(b.mel, "x", 6, 8), b.conv(b.mel, "y", 6, 8))] * 2)
    assert find_roles(b.head(double))["once"] == "stream"


def test_single_values() -> None:
    graph = prepare(toy_conformer())
    assert is_shiftable(graph, "0.ff1.swish")
    assert is_shiftable(graph, "0.conv.swish")
    assert not is_shiftable(graph, "0.ff1.norm")
    assert is_depthwise_input(graph, "0.conv.glu")
    assert not is_depthwise_input(graph, "0.att.norm")
    quartznet = prepare(toy_graph())
    inner = [name for name in quartznet.values if is_depthwise_input(quartznet, name)]
    assert inner == ["b1.0.relu", "b1.relu"]
    assert not any(is_depthwise_input(quartznet, name, ("glu",)) for name in inner)
    assert is_nonnegative(graph, "sub.relu")
    assert not is_nonnegative(graph, "mel")
    b = ToyBuilder()
    padded = b.head(b.conv(b.node("swish", "swish", b.conv(b.mel, "c", 6, 8)), "k3", 8, 8, kernel=3))
    assert not is_shiftable(padded, "swish"), "padding inserts the code 0"
