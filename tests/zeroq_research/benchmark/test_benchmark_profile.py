from __future__ import annotations

import pytest
from support.toy_models import toy_integer_model

from int_kernels import Conv1d
from zeroq_research.benchmark.inputs import step_macs
from zeroq_research.benchmark.profile import describe, summarize_profile
from zeroq_research.report.latency_table import profile_table


def test_medians_of_steps_and_of_their_shapes() -> None:
    program, frames = toy_integer_model().program, 80
    names = [step.y for step in program.steps]
    rounds = [
        ([(name, factor * (i + 1)) for i, name in enumerate(names)], limit)
        for factor, limit in ((100, 5.0), (300, 9.0), (200, 7.0))
    ]
    profile = summarize_profile("zeroq-c", program, frames, rounds)
    macs = step_macs(program, frames)
    assert profile["limit_gmac_per_s"] == 7.0 and [step["name"] for step in profile["steps"]] == names
    for position, step in enumerate(profile["steps"]):
        assert step["ms"] == pytest.approx(200e-6 * (position + 1)) and step["macs"] == macs.get(step["name"], 0)
        if step["macs"]:
            assert step["gmac_per_s"] == pytest.approx(step["macs"] / (200 * (position + 1)))
            assert step["limit_share"] == pytest.approx(step["gmac_per_s"] / 7)
        else:
            assert step["limit_share"] is None
    for shape in profile["shapes"]:
        members = [step for step in profile["steps"] if step["shape"] == shape["shape"]]
        assert (shape["count"], shape["macs"]) == (len(members), sum(step["macs"] for step in members))
        assert shape["ms"] == pytest.approx(sum(step["ms"] for step in members))
    lines = profile_table(profile).splitlines()
    assert len(lines) == 2 + len(profile["shapes"]) and "limit 7 GMAC/s" in lines[0]


def test_equal_work_has_equal_descriptions() -> None:
    program = toy_integer_model().program
    texts = [describe(step, program) for step in program.steps]
    kinds = {text.split()[0] for text in texts}
    assert {"depthwise", "pointwise", "sum", "argmax"} <= kinds
    depthwise = next(step for step in program.steps if describe(step, program).startswith("depthwise"))
    assert isinstance(depthwise, Conv1d)
    weight = depthwise.weight.shape
    assert f"{weight[0]}>{weight[0]} k{weight[2]}" in describe(depthwise, program)
