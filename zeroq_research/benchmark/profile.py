"""The time of our engine by step, and by shape of layer."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from int_kernels import Attention, Conv1d, Conv2d, Program, Step
from zeroq_research.benchmark.inputs import step_macs

Record = dict[str, Any]


def summarize_profile(
    engine: str, program: Program, frames: int, notes: Sequence[tuple[list[tuple[str, int]], float]]
) -> Record:
    """Return the medians over the rounds of `open_profile`, by step and by shape, as plain JSON values.

    notes: a round's note each, see `open_profile`. Keys: engine, frames, limit_gmac_per_s, steps and shapes. Each step
    and shape has ms, macs, gmac_per_s, gop_per_s (twice gmac_per_s: a multiplication and an addition) and limit_share,
    the fraction of the limit, None without multiply-accumulates.
    """
    limit = statistics.median(rate for _, rate in notes)
    names = [name for name, _ in notes[0][0]]
    times = [statistics.median(steps[i][1] for steps, _ in notes) for i in range(len(names))]
    found = {step.y: step for step in program.steps}
    macs = step_macs(program, frames)
    steps = [
        {"name": name, "shape": describe(found[name], program), **_speed(time, macs.get(name, 0), limit)}
        for name, time in zip(names, times, strict=True)
    ]
    return {
        "engine": engine,
        "frames": frames,
        "limit_gmac_per_s": limit,
        "steps": steps,
        "shapes": _shapes(steps, limit),
    }


def _shapes(steps: Sequence[Record], limit: float) -> list[Record]:
    groups: dict[str, list[Record]] = {}
    for step in steps:
        groups.setdefault(step["shape"], []).append(step)
    total = sum(step["ms"] for step in steps)
    shapes = []
    for shape, members in groups.items():
        ms, macs = sum(step["ms"] for step in members), sum(step["macs"] for step in members)
        shapes.append(
            {"shape": shape, "count": len(members), "share": ms / total, **_speed(1e6 * ms, macs, limit)},
        )
    return shapes


def _speed(nanoseconds: float, macs: int, limit: float) -> Mapping[str, Any]:
    rate = macs / max(nanoseconds, 1)
    return {
        "ms": nanoseconds / 1e6,
        "macs": macs,
        "gmac_per_s": rate,
        "gop_per_s": 2 * rate,
        "limit_share": rate / limit if macs else None,
    }


def describe(step: Step, program: Program) -> str:
    """Return e.g. "depthwise 256>256 k33 int8" or "sum 256 uint8"; steps with equal work have equal texts."""
    y = program.spec(step.y)
    if not isinstance(step, Conv1d | Conv2d):
        heads = f" {step.heads} heads" if isinstance(step, Attention) else ""
        return f"{step.name} {y.channels}{heads} {y.type}"
    weight, taps = step.weight.shape, step.weight.shape[2:]
    kind = "conv2d" if len(taps) == 2 else "pointwise" if taps == (1,) else "dense"
    if weight[1] == 1 and step.groups > 1:
        kind = "depthwise2d" if len(taps) == 2 else "depthwise"
    kernel = "" if taps == (1,) else " k" + "x".join(map(str, taps))
    if isinstance(step, Conv1d):
        geometry = {"stride": step.stride, "dilation": step.dilation}
    else:
        geometry = {"stride h": step.stride[0], "stride t": step.stride[1]}
    special = [f" {name} {number}" for name, number in geometry.items() if number != 1]
    return f"{kind} {weight[1] * step.groups}>{weight[0]}{kernel}{''.join(special)} {y.type}"
