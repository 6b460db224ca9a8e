"""The paper's tables on our models, each as a part of one report; the figures are in `reproduce_figures`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from zeroq_asr.files import write_atomically
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_research.experiments import Program
from zeroq_research.report.page import Section, page, paragraph, plots
from zeroq_research.report.plots import Axis, Point, Series, pareto_front, plot
from zeroq_research.report.table import Sheet, difference_cell, rate_cell
from zeroq_research.reproduction.paper import PAPER_ROWS, paper_sheet
from zeroq_research.result_cache import CellStore
from zeroq_research.sensitivity_report import analysis_plots, analysis_sheet, analyze, count_steps, spread, values_sheet
from zeroq_research.tables import NOTES, Plan, Row, Table, table_sheet

OnStep = Callable[[str], None]
_WORST = 15
"""Layers shown on the page; the files hold all."""


@dataclass(frozen=True)
class Study:
    """What is reproduced: `plan` on `sets`, cells in `store`.

    sizes, frames, rounds, threads: what figure 2 measures. arpa: the n-gram model of figure 3, None for none.
    """

    plan: Plan
    sets: tuple[TestSet, ...]
    store: CellStore
    sizes: tuple[str, ...]
    frames: int
    rounds: int
    threads: int
    arpa: Path | None


@dataclass(frozen=True)
class Part:
    """One table or figure: its tables and pictures by file name (no ending for a table), and its part of the page."""

    name: str
    heading: str
    body: str
    sheets: Mapping[str, Sheet]
    pictures: Mapping[str, bytes]


def table1(study: Study, on_step: OnStep) -> Part:
    """WER on every set, size and bit operations of every model, synthetic calibration; the paper's table beside."""
    plan = replace(study.plan, calibrations=("synthetic",))
    rows = Table(plan, study.sets, study.store).fill(on_step)
    ours, theirs = table1_sheet(rows), paper_sheet(study.store, on_step)
    words = "Calibrated on synthetic data only: no recording was read to quantize."
    body = paragraph(words) + ours.to_html() + pareto_plots(rows) + theirs.to_html()
    sheets = {"table1": ours, "table1-paper": theirs}
    return Part("table1", "Table 1: word error rate, size, bit operations", body, sheets, {})


def count_table1(study: Study) -> int:
    """Steps of `table1` still to be done."""
    plan = replace(study.plan, calibrations=("synthetic",))
    return Table(plan, study.sets, study.store).count_steps() + len({row.size for row in PAPER_ROWS})


def table2(study: Study, on_step: OnStep) -> Part:
    """Synthetic data against random noise U[-3, 3], as in the paper, and against real speech, which it lacks."""
    rows = Table(study.plan, study.sets, study.store).fill(on_step)
    sheet = table2_sheet(rows)
    details = table_sheet(rows, "Every row with its interval")
    body = sheet.to_html() + f"<details><summary>Every row</summary>{details.to_html()}</details>\n"
    heading = "Table 2: what the calibration data is worth"
    return Part("table2", heading, body, {"table2": sheet, "table2-details": details}, {})


def count_table2(study: Study) -> int:
    """Steps of `table2` still to be done."""
    return Table(study.plan, study.sets, study.store).count_steps()


def layers(study: Study, on_step: OnStep) -> Part:
    """Where the error of the first model comes from, at its fewest bits: layers, stored values and their ranges."""
    model = load_float_model(study.plan.models[0])
    analysis = analyze(study.store, model, study.plan.settings, _coarsest(study), spread(study.sets[-1]), on_step)
    ranked, values = analysis_sheet(analysis), values_sheet(analysis)
    details = f"<details><summary>Ranges and errors of the stored values</summary>{values.to_html()}</details>\n"
    body = analysis_plots(analysis) + analysis_sheet(analysis, _WORST).to_html() + details
    return Part("layers", "Which layer hurts", body, {"layers": ranked, "values": values}, {})


def count_layers(study: Study) -> int:
    """Steps of `layers`, synthetic data left out: the tables make it."""
    model = load_float_model(study.plan.models[0])
    return count_steps(study.store, model, study.plan.settings, replace(_coarsest(study), calibration="random"))


def _coarsest(study: Study) -> Program:
    return Program(replace(study.plan.config, bits=min(study.plan.bits)), "synthetic", study.plan.seeds[0])


def table1_sheet(rows: Sequence[Row]) -> Sheet:
    """One line per model and bits; two columns per set."""
    sets = list(dict.fromkeys(row["manifest"] for row in rows))
    groups: dict[tuple[str, str], dict[str, Row]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["bits"]), {})[row["manifest"]] = row
    lines = []
    for (model, bits), members in groups.items():
        first = members[sets[0]]
        scores = [text for name in sets for text in (rate_cell(members[name]), _difference(members[name]))]
        size, bops = f"{first['size_bytes'] / 1e6:.3f}", f"{first['bops'] / 1e9:,.1f}"
        lines.append((model, bits, *scores, size, bops, _giga(first["product_bops"])))
    columns = [text for name in sets for text in (f"WER % {name}", "vs float [95 %]")]
    records = [{name: value for name, value in row.items() if name != "calibration"} for row in rows]
    return Sheet(
        title="Ours",
        headings=("model", "bits", *columns, "MB", "GBOP (10 s)", "of attention"),
        rows=tuple(lines),
        records=tuple(records),
        left=frozenset({0, 1, *(3 + 2 * number for number in range(len(sets)))}),
        notes=(*NOTES, "MB: the file, 10^6 bytes. GBOP: as the paper counts; products inside attention stand beside."),
    )


def table2_sheet(rows: Sequence[Row]) -> Sheet:
    """One line per model, set and bits; one column per calibration."""
    calibrations = list(dict.fromkeys(row["calibration"] for row in rows if row["calibration"] != "-"))
    groups: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["manifest"], row["bits"]), {})[row["calibration"]] = row
    lines, records = [], []
    for (model, manifest, bits), members in groups.items():
        if "-" in members:
            continue
        lines.append(
            (
                model,
                manifest,
                bits,
                *(f"{rate_cell(members[c])} ({members[c]['difference']:+.2f})" for c in calibrations),
            )
        )
        record: dict[str, Any] = {"model": model, "manifest": manifest, "bits": bits}
        for name in calibrations:
            record |= {f"wer_{name}": members[name]["wer"], f"difference_{name}": members[name]["difference"]}
        records.append(record)
    return Sheet(
        title="WER % (difference to float in points)",
        headings=("model", "set", "bits", *calibrations),
        rows=tuple(lines),
        records=tuple(records),
        left=frozenset({0, 1, 2}),
        notes=("random: uniform noise in [-3, 3]. real: recordings. Means over the seeds ± standard deviation.",),
    )


def pareto_plots(rows: Sequence[Row]) -> str:
    """WER against bytes and against bit operations, one pair of plots per set, fronts over all models."""
    drawings = []
    for name in dict.fromkeys(row["manifest"] for row in rows):
        here = [row for row in rows if row["manifest"] == name]
        for key, unit, label in (
            ("size_bytes", 1e6, "file size (MB)"),
            ("bops", 1e9, "bit operations for 10 s (GBOP)"),
        ):
            series = [
                Series(model, tuple(_point(row, row[key] / unit) for row in here if row["model"] == model))
                for model in dict.fromkeys(row["model"] for row in here)
            ]
            front = pareto_front([point for one in series for point in one.points])
            drawings.append(
                plot(
                    f"{name}: WER against {label.split(' (')[0]}",
                    Axis(label, log=True),
                    Axis("WER (%)"),
                    [*series, Series("front", front, faint=True)],
                )
            )
    note = "Bars: standard deviation over the seeds. Dashed: the front, models that no other one beats in both."
    return plots(drawings) + paragraph(note, note=True)


def _point(row: Row, x: float) -> Point:
    spread = row["wer_deviation"] or 0.0
    title = f"{row['model']} {row['bits']}: WER {row['wer']:.2f} %, {row['size_bytes']:,} bytes"
    bars = (row["wer"] - spread, row["wer"] + spread) if spread else (None, None)
    return Point(x, row["wer"], row["bits"], title, *bars)


def _difference(row: Row) -> str:
    return "" if row["bits"] == "float32" else difference_cell(row)


def _giga(bops: int) -> str:
    return f"{bops / 1e9:,.1f}" if bops else ""


def write_parts(parts: Sequence[Part], folder: Path, introduction: str) -> list[Path]:
    """Write every table (.md, .csv, .json) and picture and one report.html; return the paths. Raises FileError."""
    contents: dict[str, bytes] = {}
    for part in parts:
        for name, sheet in part.sheets.items():
            document = json.dumps({"results": list(sheet.records)}, indent=2, allow_nan=False) + "\n"
            contents |= {f"{name}.md": sheet.to_markdown().encode(), f"{name}.csv": sheet.to_csv().encode()}
            contents[f"{name}.json"] = document.encode()
        contents |= part.pictures
    sections = [Section(part.heading, part.body) for part in parts]
    title = "Integer-only speech recognition without data"
    contents["report.html"] = page(title, introduction, sections).encode()
    for name, data in contents.items():
        write_atomically(folder / name, data)
    return [folder / name for name in contents]
