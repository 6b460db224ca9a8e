"""The paper's two tables on our models: error rates with their costs, and the effect of the calibration data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from zeroq_research.progress import OnStep
from zeroq_research.report.page import ReportSection, details, paragraph, plots
from zeroq_research.report.plots import Axis, Point, Series, pareto_front, plot
from zeroq_research.report.table import ReportTable, format_difference, format_rate
from zeroq_research.report.template import Markup
from zeroq_research.reproduction.config import ReproductionConfig
from zeroq_research.reproduction.paper_table import PAPER_ROWS, paper_table
from zeroq_research.tables import NOTES, Row, TableRunner, main_table

_COSTS = (("size_bytes", 1e6, "file size (MB)"), ("bops", 1e9, "bit operations for 10 s (GBOP)"))
"""Key of a row, its unit, label of the axis."""


# ---- table 1 ------------------------------------------------------------------------------------------------------


def table1(config: ReproductionConfig, on_step: OnStep) -> ReportSection:
    """Return WER on every set, size and bit operations of every model, with the paper's table beside them.

    Synthetic calibration only.
    """
    spec = replace(config.spec, calibrations=("synthetic",))
    rows = TableRunner(spec, config.sets, config.cache, on_step).run()
    ours, theirs = error_and_cost_table(rows), paper_table(config.cache, on_step)
    words = "Calibrated on synthetic data only: no recording was read to quantize."
    body = paragraph(words) + ours.to_html() + _cost_plots(rows) + theirs.to_html()
    tables = {"table1": ours, "table1-paper": theirs}
    return ReportSection("Table 1: word error rate, size, bit operations", body, tables)


def count_table1(config: ReproductionConfig) -> int:
    """Return the number of steps that `table1` still has to do."""
    spec = replace(config.spec, calibrations=("synthetic",))
    return TableRunner(spec, config.sets, config.cache).count_steps() + len({row.size for row in PAPER_ROWS})


def error_and_cost_table(rows: Sequence[Row]) -> ReportTable:
    """Return table 1: one line per model and bits, two columns per set. rows: those of `TableRunner.run`."""
    sets = list(dict.fromkeys(row["manifest"] for row in rows))
    groups: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["bits"]), {})[row["manifest"]] = row
    lines = []
    for (model, bits), members in groups.items():
        first = members[sets[0]]
        scores = [text for name in sets for text in (format_rate(members[name]), _difference(members[name]))]
        size, bops = f"{first['size_bytes'] / 1e6:.3f}", f"{first['bops'] / 1e9:,.1f}"
        lines.append((model, bits, *scores, size, bops, _giga(first["product_bops"])))
    columns = [text for name in sets for text in (f"WER % {name}", "vs float [95 %]")]
    records = [{name: value for name, value in row.items() if name != "calibration"} for row in rows]
    note = (
        "MB: the file, 10^6 bytes. GBOP: as the paper counts; of attention: the products inside attention, which it "
        "does not count."
    )
    return ReportTable(
        title="Ours",
        headings=("model", "bits", *columns, "MB", "GBOP (10 s)", "of attention"),
        rows=tuple(lines),
        records=tuple(records),
        left=frozenset({0, 1, *(3 + 2 * number for number in range(len(sets)))}),
        notes=(*NOTES, note),
    )


def _difference(row: Row) -> str:
    return "" if row["bits"] == "float32" else format_difference(row)


def _giga(bops: int) -> str:
    return f"{bops / 1e9:,.1f}" if bops else ""


def _cost_plots(rows: Sequence[Row]) -> Markup:
    """Return WER against bytes and against bit operations: a pair of plots per set, with the front over all models."""
    drawings = []
    for name in dict.fromkeys(row["manifest"] for row in rows):
        here = [row for row in rows if row["manifest"] == name]
        for key, unit, label in _COSTS:
            series = [
                Series(model, tuple(_point(row, row[key] / unit) for row in here if row["model"] == model))
                for model in dict.fromkeys(row["model"] for row in here)
            ]
            front = pareto_front([point for one in series for point in one.points])
            title = f"{name}: WER against {label.split(' (')[0]}"
            series.append(Series("front", front, faint=True))
            drawings.append(plot(title, Axis(label, log=True), Axis("WER (%)"), series))
    note = "Bars: standard deviation over the seeds. Dashed: the Pareto front, models that no other one beats in both."
    return plots(drawings) + paragraph(note, note=True)


def _point(row: Row, x: float) -> Point:
    deviation = row["wer_deviation"] or 0.0
    title = f"{row['model']} {row['bits']}: WER {row['wer']:.2f} %, {row['size_bytes']:,} bytes"
    bar = (row["wer"] - deviation, row["wer"] + deviation) if deviation else (None, None)
    return Point(x, row["wer"], row["bits"], title, *bar)


# ---- table 2 ------------------------------------------------------------------------------------------------------


def table2(config: ReproductionConfig, on_step: OnStep) -> ReportSection:
    """Return synthetic data against random noise U[-3, 3], as in the paper, and against real speech, which it lacks."""
    rows = TableRunner(config.spec, config.sets, config.cache, on_step).run()
    table = calibration_table(rows)
    every_row = main_table(rows, "Every row with its interval")
    body = table.to_html() + details("Every row", every_row.to_html())
    tables = {"table2": table, "table2-details": every_row}
    return ReportSection("Table 2: effect of the calibration data", body, tables)


def count_table2(config: ReproductionConfig) -> int:
    """Return the number of steps that `table2` still has to do."""
    return TableRunner(config.spec, config.sets, config.cache).count_steps()


def calibration_table(rows: Sequence[Row]) -> ReportTable:
    """Return table 2: one line per model, set and bits, one column per calibration.

    rows: those of `TableRunner.run`.
    """
    calibrations = list(dict.fromkeys(row["calibration"] for row in rows if row["calibration"] != "-"))
    groups: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["manifest"], row["bits"]), {})[row["calibration"]] = row
    lines, records = [], []
    for names, members in groups.items():
        if "-" in members:  # the float model
            continue
        lines.append((*names, *(f"{format_rate(members[c])} ({members[c]['difference']:+.2f})" for c in calibrations)))
        record: dict[str, Any] = dict(zip(("model", "manifest", "bits"), names, strict=True))
        for name in calibrations:
            record |= {f"wer_{name}": members[name]["wer"], f"difference_{name}": members[name]["difference"]}
        records.append(record)
    return ReportTable(
        title="WER % (difference to float in points)",
        headings=("model", "set", "bits", *calibrations),
        rows=tuple(lines),
        records=tuple(records),
        left=frozenset({0, 1, 2}),
        notes=("random: uniform noise in [-3, 3]. real: recordings. Means over the seeds ± standard deviation.",),
    )
