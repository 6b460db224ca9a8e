from __future__ import annotations

from zeroq_asr.report.latency_figure import draw_latencies, latencies_png


def test_every_engine_and_number_of_threads_has_its_bar() -> None:
    rows = [{"engine": e, "threads": t, "median_ms": 10.0 * t + len(e)} for t in (1, 2) for e in ("ours", "torch")]
    (axes,) = draw_latencies(rows, "model_x, $5").axes
    bars = [bar.get_width() for group in axes.containers for bar in group]
    assert bars == [row["median_ms"] for row in rows]
    assert [label.get_text() for label in axes.get_yticklabels()] == ["ours", "torch"]
    assert axes.get_title(loc="left") == "model_x, $5"
    assert latencies_png(rows, "$_").startswith(b"\x89PNG")
