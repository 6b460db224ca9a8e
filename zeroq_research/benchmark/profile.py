"""The time of our engine by step, and by shape of layer."""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence
from typing import Any

from zeroq_asr.ir.types import Graph, Node
from zeroq_research.benchmark.inputs import step_macs

Record = dict[str, Any]


def summarize_profile(
    engine: str, graph: Graph, frames: int, notes: Sequence[tuple[list[tuple[str, int]], float]]
) -> Record:
    """Return the medians over the rounds of `open_profile`, by step and by shape, as plain JSON values.

    notes: a round's note each, see `open_profile`. Keys: engine, frames, limit_gmac_per_s, steps and shapes. Each step
    and shape has ms, macs, gmac_per_s, gop_per_s (twice gmac_per_s: a multiplication and an addition) and limit_share,
    the fraction of the limit, None without multiply-accumulates.
    """
    limit = statistics.median(rate for _, rate in notes)
    names = [name for name, _ in notes[0][0]]
    times = [statistics.median(steps[i][1] for steps, _ in notes) for i in range(len(names))]
    nodes = {node.output: node for node in graph.nodes}
    macs = step_macs(graph, frames)
    steps = [
        {"name": name, "shape": describe(nodes[name], graph), **_speed(time, macs.get(name, 0), limit)}
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


def describe(node: Node, graph: Graph) -> str:
    """Return e.g. "depthwise 256>256 k33 int8" or "sum 256 uint8"; steps with equal work have equal texts."""
    y = graph.values[node.output]
    if node.op not in ("conv1d", "accumulate", "conv2d"):
        heads = f" {node.integer('heads')} heads" if "heads" in node.attrs else ""
        return f"{node.op} {y.channels}{heads} {y.type}"
    weight = graph.constants[node.inputs[1]].shape
    groups, taps = node.integer("groups"), weight[2:]
    kind = "conv2d" if len(taps) == 2 else "pointwise" if taps == (1,) else "dense"
    if weight[1] == 1 and groups > 1:
        kind = "depthwise2d" if len(taps) == 2 else "depthwise"
    kernel = "" if taps == (1,) else " k" + "x".join(map(str, taps))
    special = [
        f" {name.replace('_', ' ')} {node.integer(name)}"
        for name in ("stride", "stride_h", "stride_t", "dilation")
        if name in node.attrs and node.integer(name) != 1
    ]
    return f"{kind} {weight[1] * groups}>{weight[0]}{kernel}{''.join(special)} {y.type}"
