from __future__ import annotations

import pytest
from support.toy_models import toy_integer_model

from zeroq_research.benchmark.inputs import step_macs
from zeroq_research.benchmark.profile import describe, summarize_profile
from zeroq_research.report.latency_table import profile_table


def test_medians_of_steps_and_of_their_shapes() -> None:
    graph, frames = toy_integer_model().graph, 80
    names = [node.output for node in graph.nodes]
    rounds = [
        ([(name, factor * (i + 1)) for i, name in enumerate(names)], limit)
        for factor, limit in ((100, 5.0), (300, 9.0), (200, 7.0))
    ]
    profile = summarize_profile("zeroq-c", graph, frames, rounds)
    macs = step_macs(graph, frames)
    assert profile["limit_gmac_per_s"] == 7.0 and [step["name"] for step in profile["steps"]] == names
    for place, step in enumerate(profile["steps"]):
        assert step["ms"] == pytest.approx(200e-6 * (place + 1)) and step["macs"] == macs.get(step["name"], 0)
        if step["macs"]:
            assert step["gmac_per_s"] == pytest.approx(step["macs"] / (200 * (place + 1)))
            assert step["limit_share"] == pytest.approx(step["gmac_per_s"] / 7)
        else:
            assert step["limit_share"] is None
    for shape in profile["shapes"]:
        members = [step for step in profile["steps"] if step["shape"] == shape["shape"]]
        assert (shape["count"], shape["macs"]) == (len(members), sum(step["macs"] for step in members))
        assert shape["ms"] == pytest.approx(sum(step["ms"] for step in members))
    lines = profile_table(profile).splitlines()
    assert len(lines) == 2 + len(profile["shapes"]) and "limit 7 GMAC/s" in lines[0]


def test_equal_work_has_equal_words() -> None:
    graph = toy_integer_model().graph
    words = [describe(node, graph) for node in graph.nodes]
    kinds = {word.split()[0] for word in words}
    assert {"depthwise", "pointwise", "sum", "argmax"} <= kinds
    depthwise = next(node for node in graph.nodes if describe(node, graph).startswith("depthwise"))
    weight = graph.constants[depthwise.inputs[1]].shape
    assert f"{weight[0]}>{weight[0]} k{weight[2]}" in describe(depthwise, graph)
