"""Figure 2 of the paper: latency against size, float and integer, on this machine."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from zeroq_research.progress import OnStep
from zeroq_research.report.page import ReportSection, paragraph, plots
from zeroq_research.report.plots import Axis, Point, Series, plot
from zeroq_research.report.table import ReportTable
from zeroq_research.reproduction.config import ReproductionConfig
from zeroq_research.result_cache import Json, source_digest

SIZES = ("quartznet5x5", "quartznet10x5", "quartznet15x5")
_SOURCES = (
    "eval/latency.py",
    "int_kernels",
    "zeroq_asr/frontend",
    "zeroq_asr/runtime",
    "zeroq_research/benchmark",
    "zeroq_research/engines",
)
"""The sources that decide a timing."""


def figure2(config: ReproductionConfig, on_step: OnStep) -> ReportSection:
    """Return latency against size of QuartzNet 5x5, 10x5 and 15x5 in every engine; a step is one timed round."""
    results = [measure_latency(config, size, on_step) for size in config.sizes]
    rows = [
        {"model": size, **row} for size, result in zip(config.sizes, results, strict=True) for row in result["rows"]
    ]
    table = latency_and_size_table(rows, config, results[0]["machine"])
    series = [
        Series(engine, tuple(_point(row) for row in rows if row["engine"] == engine))
        for engine in dict.fromkeys(row["engine"] for row in rows)
    ]
    title = f"Latency of {config.frames / 100:g} s of audio against size"
    drawing = plot(title, Axis("file (MB)", log=True), Axis("ms", log=True), series)
    words = "QuartzNet at its published sizes with random weights: the latency does not depend on their values."
    body = paragraph(words) + plots([drawing]) + table.to_html()
    pictures = {"figure2.svg": drawing.encode()}
    return ReportSection("Figure 2: latency against size", body, {"figure2": table}, pictures)


def measure_latency(config: ReproductionConfig, size: str, on_step: OnStep) -> Json:
    """Return the timings of one size, cached for this machine.

    Keys: rows, as `benchmark.run.make_row` makes them; macs of a run; machine. Raises ZeroqError, LatencyError.
    """
    from eval.machine import describe_machine
    from zeroq_research.benchmark import run as benchmark

    plan = benchmark.BenchmarkPlan(size, config.frames, 1, (config.threads,), config.rounds)
    machine = describe_machine(("torch", "numpy"))
    inputs = {"plan": vars(plan), "machine": machine, "code": source_digest(_SOURCES)}

    def measure() -> Json:
        with TemporaryDirectory(prefix="zeroq-figure2-") as folder:
            engines, work = benchmark.prepare(plan, Path(folder), peers=False)
            rows = benchmark.run(plan, engines, work, lambda: on_step(f"latency of {size}")).rows
        return {"rows": rows, "macs": work.macs, "machine": machine}

    return config.cache.get("latency", inputs, measure)


def _point(row: dict[str, Any]) -> Point:
    title = f"{row['model']} {row['engine']}: {row['median_ms']:.1f} ms, {row['file_mb']:.1f} MB"
    return Point(row["file_mb"], row["median_ms"], row["model"].removeprefix("quartznet"), title)


def latency_and_size_table(rows: Sequence[dict[str, Any]], config: ReproductionConfig, machine: Json) -> ReportTable:
    """Return the table with one line per size and engine. machine: as `describe_machine` returns it."""
    cells = tuple(
        (
            row["model"],
            row["engine"],
            f"{row['median_ms']:.1f}",
            f"{row['cpu_ms']:.1f}",
            f"{row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]",
            f"{row['file_mb']:.1f}",
        )
        for row in rows
    )
    processor = f"{machine['cpu']}, {machine['cores']} cores ({' '.join(machine['features'])})"
    return ReportTable(
        title=f"{config.frames} frames, batch 1, {config.threads} thread(s), medians of {config.rounds} rounds",
        headings=("model", "engine", "median ms", "CPU ms", "times ours [quartiles]", "MB"),
        rows=cells,
        records=tuple(rows),
        left=frozenset({0, 1}),
        strong=frozenset(number for number, row in enumerate(rows) if row["engine"].startswith("zeroq")),
        notes=(
            processor,
            "The engines of a size alternate, so that other load on the machine slows all of them alike.",
        ),
    )
