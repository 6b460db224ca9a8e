from __future__ import annotations

from zeroq_research.report.latency_figure import draw_latencies, latencies_png


def test_every_engine_and_number_of_threads_has_its_bar() -> None:
    rows = [{"engine": e, "threads": t, "median_ms": 10.0 * t + len(e)} for t in (1, 2) for e in ("ours", "torch")]
    (axes,) = draw_latencies(rows, "model_x, $5").axes
    bars = [bar.get_width() for group in axes.containers for bar in group]
    assert bars == [row["median_ms"] for row in rows]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ours", "torch"]
    assert axes.get_title(loc="left") == "model_x, $5"
    assert latencies_png(rows, "$_").startswith(b"\x89PNG")
    assert latencies_png(rows, "$_") == latencies_png(rows, "$_")


def test_the_limit_is_a_line_in_the_colour_of_its_bars() -> None:
    rows = [{"engine": e, "threads": t, "median_ms": 10.0 * t} for t in (1, 2) for e in ("ours", "torch")]
    (axes,) = draw_latencies(rows, "model", {1: 7.0, 2: 4.0}).axes
    assert [line.get_xdata()[0] for line in axes.get_lines()] == [7.0, 4.0]  # type: ignore[index]
    colors = [group[0].get_facecolor() for group in axes.containers]
    assert [line.get_color() for line in axes.get_lines()] == colors
    legend = axes.get_legend()
    assert legend is not None and "int8 limit: 7.0 ms" in [text.get_text() for text in legend.get_texts()]
