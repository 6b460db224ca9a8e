from __future__ import annotations

from typing import Any

from zeroq_research.report.latency_table import latency_table, limit_line, memory_table, scaling_lines


def row(engine: str, threads: int, median_ms: float, **more: Any) -> dict[str, Any]:
    numbers = ("min_ms", "ratio", "ratio_low", "ratio_high", "gmac_per_s", "cpu_ms", "rss_mb", "file_mb")
    rest = dict.fromkeys((*numbers, "cpu_per_wall"), 1.0)
    return {"engine": engine, "threads": threads, "median_ms": median_ms, "limit_share": None, **rest, **more}


def test_threads_are_compared_with_the_first_number() -> None:
    rows = [row("a", 1, 30.0), row("b", 1, 90.0), row("a", 2, 20.0), row("c", 2, 1.0), row("a", 4, 10.0)]
    assert scaling_lines(rows) == ["2 threads against 1: a 1.50", "4 threads against 1: a 3.00"]
    assert scaling_lines(rows[:2]) == []


def test_columns_depend_on_the_inputs() -> None:
    rows = [row("a", 1, 30.0, per_utterance_ms=10.0, rtf=0.002, utterance_ms=[5.0, 10.0, 15.0], limit_share=0.5)]
    one, batch, speech = latency_table(rows), latency_table(rows, 3), latency_table(rows, 3, is_speech=True)
    assert "ms each" in batch and "ms each" not in one + speech
    assert "RTF" in speech and "0.00200" in speech and "RTF" not in one + batch
    assert all("50.0" in text for text in (one, batch, speech))
    assert limit_line([{"kernels": "c", "threads": 2, "gmac_per_s": 71.6}]).endswith("72 GMAC/s (c, 2 threads)")


def test_memory_is_listed_once_for_each_of_our_engines() -> None:
    memory = {"model_mb": 2.0, "packed_mb": 3.0, "values_mb": 0.5, "bits": 4, "rss_mb": 41.0}
    rows = [row("zeroq-c", threads, 1.0, **memory) for threads in (1, 2)]
    assert memory_table([row("torch", 1, 1.0)]) == ""
    lines = memory_table([*rows, row("torch", 1, 1.0)]).splitlines()
    assert len(lines) == 2 and lines[1].split() == ["zeroq-c", "4", "1.0", "2.0", "3.0", "0.5", "40.0"]
