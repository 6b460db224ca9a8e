"""Latencies as a bar chart: one bar for each engine and number of threads."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_GROUP_HEIGHT = 0.8
"""Height of the bars of one engine together; engines are 1 apart."""


def draw_latencies(
    rows: Sequence[Mapping[str, Any]], title: str, limit_ms: Mapping[int, float] | None = None
) -> Figure:
    """Draw the median latency in milliseconds of every engine, engines from top to bottom.

    rows: each with engine, threads and median_ms. limit_ms: number of threads -> the least time in milliseconds that
    the processor's 8-bit instructions allow, drawn as a dotted line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    engines = list(dict.fromkeys(row["engine"] for row in rows))
    threads = list(dict.fromkeys(row["threads"] for row in rows))
    figure = Figure(figsize=(9.0, 1.2 + 0.3 * len(rows)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots()
    height = _GROUP_HEIGHT / len(threads)
    for number, count in enumerate(threads):
        group = [row for row in rows if row["threads"] == count]
        centres = [engines.index(row["engine"]) - _GROUP_HEIGHT / 2 + (number + 0.5) * height for row in group]
        medians = [row["median_ms"] for row in group]
        bars = axes.barh(centres, medians, height * 0.9, label=f"{count} thread{'s' if count > 1 else ''}")
        axes.bar_label(bars, [f"{median:.1f}" for median in medians], padding=3, fontsize=9)
        if limit_ms and count in limit_ms:
            colour = bars.patches[0].get_facecolor()
            axes.axvline(limit_ms[count], color=colour, linestyle=":", label=f"int8 limit: {limit_ms[count]:.1f} ms")
    axes.set_yticks(range(len(engines)), engines)
    axes.invert_yaxis()
    axes.margins(x=0.12)
    axes.set_xlabel("median latency (ms)")
    axes.set_title(title, fontsize=11, loc="left", parse_math=False)
    axes.legend()
    return figure


def latencies_png(rows: Sequence[Mapping[str, Any]], title: str, limit_ms: Mapping[int, float] | None = None) -> bytes:
    """Return the chart of `draw_latencies` as a PNG file; the same rows give the same bytes."""
    stream = io.BytesIO()
    draw_latencies(rows, title, limit_ms).savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
