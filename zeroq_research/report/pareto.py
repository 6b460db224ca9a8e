"""Uniform and mixed models side by side: tables and plots from plain rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from zeroq_research.report.page import paragraph, plots
from zeroq_research.report.plots import Axis, Point, Series, pareto_front, plot
from zeroq_research.report.table import Sheet, difference_cell, rate_cell

Row = Mapping[str, Any]
_AXES = (
    ("bytes", "size_bytes", 1e6, "file size (MB)"),
    ("BOPs", "bops", 1e9, "bit operations for 10 s (GBOP)"),
)


def pareto_sheet(rows: Sequence[Row]) -> Sheet:
    """One line per model, set and kind. rows: `pipeline.reproduce_pareto`'s, as are those of the others here."""
    return Sheet(
        title="Uniform and mixed",
        headings=(
            "model", "set", "kind", "bits", "runs", "WER % ± sd", "vs float [95 %]", "bytes", "GBOP (10 s)",
            "KL together", "KL summed",
        ),
        rows=tuple(_cells(row) for row in rows),
        records=tuple(rows),
        left=frozenset({0, 1, 2, 3, 6}),
        strong=frozenset(number for number, row in enumerate(rows) if row["within"]),
        notes=(
            "bits: of the weights, for mixed models the mean over the weights. Means over the seeds, each of which "
            "chooses bits of its own; bytes and GBOP: of the largest. vs float: paired difference in points with the "
            "95 % interval; * excludes zero.",
            "KL: what rounding the weights moves the posteriors on synthetic data, nats a frame: all layers together, "
            "and the sum of each alone, which the choice minimises.",
        ),
    )  # fmt: skip


def pairs_sheet(pairs: Sequence[Row]) -> Sheet:
    """One line per model, set and budget: mixed against uniform."""
    return Sheet(
        title="Mixed against uniform at the same cost",
        headings=("model", "set", "budget", "uniform", "mixed", "WER % uniform", "mixed", "mixed - uniform [95 %]"),
        rows=tuple(
            (
                row["model"],
                row["manifest"],
                f"{row['within']} of W{row['goal']}",
                _amount(row["within"], row["budget"]),
                _amount(row["within"], row["spent"]),
                f"{row['wer_uniform']:.2f}",
                f"{row['wer_mixed']:.2f}",
                difference_cell(row),
            )
            for row in pairs
        ),
        records=tuple(pairs),
        left=frozenset({0, 1, 2, 7}),
        notes=(
            "Mean over the seeds of the difference in points, with the 95 % interval of a bootstrap over utterances "
            "and seeds, the same for both; * excludes zero.",
        ),
    )


def pareto_plots(rows: Sequence[Row], choices: Sequence[Row]) -> str:
    """WER against bytes and against bit operations for each model and set; the bits of layers by depth."""
    drawings = []
    for model, manifest in dict.fromkeys((row["model"], row["manifest"]) for row in rows):
        here = [row for row in rows if (row["model"], row["manifest"]) == (model, manifest) and row["kind"] != "float"]
        for within, key, unit, label in _AXES:
            uniform = [_point(row, row[key] / unit) for row in here if row["within"] is None]
            mixed = [_point(row, row[key] / unit) for row in here if row["within"] == within]
            front = pareto_front([*uniform, *mixed])
            series = [
                Series("uniform", tuple(uniform)),
                Series(f"mixed within {within}", tuple(sorted(mixed, key=lambda point: point.x))),
                Series("front", front, faint=True),
            ]
            title = f"{model}, {manifest}: WER against {label.split(' (')[0]}"
            drawings.append(plot(title, Axis(label), Axis("WER (%)"), series))
    for model in dict.fromkeys(choice["model"] for choice in choices):
        series = [
            Series(
                f"bytes of W{choice['goal']}",
                tuple(
                    Point(depth, choice["bits"][layer], "", f"{layer}: {choice['bits'][layer]} bits")
                    for depth, layer in enumerate(choice["layers"])
                ),
                line=False,
            )
            for choice in choices
            if choice["model"] == model and choice["within"] == "bytes"
        ]
        title = f"{model}: bits by depth, first seed"
        drawings.append(plot(title, Axis("layer, in the order of execution"), Axis("weight bits"), series))
    note = "Bars: standard deviation over the seeds. Dashed: the front, programs that no other one beats in both."
    return plots(drawings) + paragraph(note, note=True)


def _point(row: Row, x: float) -> Point:
    spread = row["wer_deviation"] or 0.0
    title = f"{row['kind']}, {row['bits']}: WER {row['wer']:.2f} %, {row['size_bytes']:,} bytes"
    bars = (row["wer"] - spread, row["wer"] + spread) if spread else (None, None)
    label = "" if row["within"] else row["bits"]  # (a mixed point lies above or below the uniform one of its budget)
    return Point(x, row["wer"], label, title, *bars)


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["model"],
        row["manifest"],
        row["kind"],
        row["bits"],
        str(row["runs"]),
        rate_cell(row),
        "" if row["kind"] == "float" else difference_cell(row),
        f"{row['size_bytes']:,}",
        f"{row['bops'] / 1e9:,.2f}",
        f"{row['together']:.2e}" if "together" in row else "",
        f"{row['summed']:.2e}" if "summed" in row else "",
    )


def _amount(within: str, cost: int) -> str:
    return f"{cost:,} bytes" if within == "bytes" else f"{cost / 1e9:,.3f} GBOP"
