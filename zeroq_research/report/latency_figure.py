"""Latencies as a picture: one bar per engine and number of threads."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_BAR = 0.8


def draw_latencies(
    rows: Sequence[Mapping[str, Any]], title: str, floor_ms: Mapping[int, float] | None = None
) -> Figure:
    """Draw rows with engine, threads and median_ms, engines from top to bottom. x: median latency in milliseconds.

    floor_ms: number of threads -> the least time that the processor allows in 8 bits, a dotted line.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    engines = list(dict.fromkeys(row["engine"] for row in rows))
    threads = list(dict.fromkeys(row["threads"] for row in rows))
    figure = Figure(figsize=(9.0, 1.2 + 0.3 * len(rows)), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    ax = figure.subplots()
    height = _BAR / len(threads)
    for place, count in enumerate(threads):
        group = [row for row in rows if row["threads"] == count]
        middles = [engines.index(row["engine"]) - _BAR / 2 + (place + 0.5) * height for row in group]
        widths = [row["median_ms"] for row in group]
        bars = ax.barh(middles, widths, height * 0.9, label=f"{count} thread{'s' if count > 1 else ''}")
        ax.bar_label(bars, [f"{width:.1f}" for width in widths], padding=3, fontsize=9)
        if floor_ms and count in floor_ms:
            color = bars.patches[0].get_facecolor()
            ax.axvline(floor_ms[count], color=color, linestyle=":", label=f"int8 limit: {floor_ms[count]:.1f} ms")
    ax.set_yticks(range(len(engines)), engines)
    ax.invert_yaxis()
    ax.margins(x=0.12)
    ax.set_xlabel("median latency (ms)")
    ax.set_title(title, fontsize=11, loc="left", parse_math=False)
    ax.legend()
    return figure


def latencies_png(rows: Sequence[Mapping[str, Any]], title: str, floor_ms: Mapping[int, float] | None = None) -> bytes:
    """The picture of `draw_latencies` as a PNG file."""
    stream = io.BytesIO()
    draw_latencies(rows, title, floor_ms).savefig(stream, format="png")
    return stream.getvalue()
