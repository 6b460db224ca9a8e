"""The main table: float models against their integer programs, calibrated in several ways, over several seeds."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.compare import compare_runs
from zeroq_asr.config import ANALYTIC, DETERMINISTIC, SEED, QuantizeConfig
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_research.experiments import Bench, BenchSettings, Program
from zeroq_research.feature_cache import FeatureShelf
from zeroq_research.report.table import Sheet, difference_cell, rate_cell
from zeroq_research.result_cache import CellStore, Json

Row = dict[str, Any]
OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What the table compares. configs: all settings but the bits of weights, which `bits` gives."""

    models: tuple[str, ...]
    bits: tuple[int, ...]
    configs: tuple[QuantizeConfig, ...]
    calibrations: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: BenchSettings

    @property
    def config(self) -> QuantizeConfig:
        """The first of them, for what shows one only."""
        return self.configs[0]

    @property
    def programs(self) -> list[Program]:
        """Every program of one model, each once, the float model first."""
        made = [
            Program(_relevant(replace(config, bits=bits), calibration), calibration, seed)
            for config in self.configs
            for calibration in self.calibrations
            for seed in (self.seeds[:1] if calibration in DETERMINISTIC else self.seeds)
            for bits in self.bits
        ]
        return list(dict.fromkeys([Program(), *made]))


def _relevant(config: QuantizeConfig, calibration: str) -> QuantizeConfig:
    """`config` without what this calibration does not look at: nothing is read off data where there is none."""
    if calibration != ANALYTIC:
        return config
    return replace(config, range_method=QuantizeConfig.range_method, percentile=QuantizeConfig.percentile)


class Table:
    """Fills the rows of `plan`, cell by cell; what `store` holds already is not computed again."""

    def __init__(self, plan: Plan, sets: Sequence[TestSet], store: CellStore) -> None:
        self._plan, self._sets, self._store = plan, tuple(sets), store
        self._shelf = FeatureShelf()

    def count_steps(self) -> int:
        """How many steps are still to be done. Raises ZeroqError (a model that cannot be loaded)."""
        return sum(bench.count_steps(self._plan.programs, self._sets) for _, bench in self._benches())

    def fill(self, on_step: OnStep) -> list[Row]:
        """One row per model, set, bits and calibration; `on_step` hears of every finished step. Raises ZeroqError."""
        rows: list[Row] = []
        for name, bench in self._benches():
            cells = {(p, s.name): bench.score(p, s, on_step) for p in self._plan.programs for s in self._sets}
            rows += [row for s in self._sets for row in self._rows(name, s.name, cells)]
        return rows

    def _benches(self) -> Iterator[tuple[str, Bench]]:
        """One model in memory at a time."""
        from zeroq_asr.models.resolve import load_float_model

        for reference in self._plan.models:
            model = load_float_model(reference)
            yield model.name, Bench(self._store, model, self._plan.settings, self._shelf)

    def _rows(self, model: str, manifest: str, cells: Mapping[tuple[Program, str], Json]) -> list[Row]:
        groups: dict[tuple[str, str], list[Json]] = {}
        for program in sorted(self._plan.programs, key=_weight_bits, reverse=True):  # (else in the plan's order)
            groups.setdefault((program.bits, program.calibration), []).append(cells[program, manifest])
        baseline = cells[Program(), manifest]
        return [
            {
                "model": model,
                "manifest": manifest,
                "bits": bits,
                "calibration": calibration,
                **_facts(members, baseline),
            }
            for (bits, calibration), members in groups.items()
        ]


def _weight_bits(program: Program) -> int:
    return 32 if program.config is None else program.config.bits


def _facts(members: Sequence[Json], baseline: Json) -> Row:
    rates = [cell["wer"] for cell in members]
    return compare_cells(
        members,
        baseline,
        words={"hypothesis_words": statistics.fmean(cell["hypothesis_words"] for cell in members)},
        wer_deviation={"wer_min": min(rates), "wer_max": max(rates)},
        wer_runs={key: members[0][key] if len(members) == 1 else None for key in ("wer_low", "wer_high")},
        decoded_identical={
            "cer": statistics.fmean(cell["cer"] for cell in members),
            **{key: members[0][key] for key in ("size_bytes", "macs", "bops", "product_bops")},
        },
    )


def compare_cells(members: Sequence[Json], baseline: Json, **behind: Row) -> Row:
    """What several runs (seeds) of one program scored on a set, and how that differs from the float model's score.

    wer: the mean over the runs; difference: to the baseline, in points, with its 95 % interval (`compare_runs`).
    behind: what else goes into the row, by the key that it follows; files have their columns in the order of keys.
    """
    rates = [cell["wer"] for cell in members]
    runs = [cell["hypotheses"] for cell in members]
    pair = compare_runs(baseline["references"], baseline["hypotheses"], runs, SEED)
    row = {
        "runs": len(rates),
        "utterances": baseline["utterances"],
        "words": baseline["words"],
        "wer": statistics.fmean(rates),
        "wer_deviation": statistics.stdev(rates) if len(rates) > 1 else None,
        "wer_runs": rates,
        "difference": pair.difference,
        "difference_low": pair.low,
        "difference_high": pair.high,
        "decoded_identical": pair.identical,
    }
    return {name: what for key, value in row.items() for name, what in {key: value, **behind.get(key, {})}.items()}


HEADINGS = (
    "model",
    "set",
    "bits",
    "calibration",
    "runs",
    "WER % ± sd",
    "[min, max]",
    "vs float [95 %]",
    "same text %",
    "CER %",
    "bytes",
    "GBOP (10 s)",
)
NOTES = (
    "WER: mean over the runs (seeds) ± their standard deviation. vs float: paired difference in points, with the 95 % "
    "interval of a bootstrap over utterances and runs; * excludes zero.",
    "Without *, this set cannot tell the two apart, which is not the same as no loss.",
)
ATTENTION_NOTE = "GBOP: convolutions and linear layers, as the paper counts; products inside attention are left out."


def table_sheet(rows: Sequence[Row], title: str = "float against integer") -> Sheet:
    """Return the rows as a table for people; the model's column is left out where there is only one."""
    skip = 1 if len({row["model"] for row in rows}) == 1 else 0
    return Sheet(
        title=title,
        headings=HEADINGS[skip:],
        rows=tuple(_cells(row)[skip:] for row in rows),
        records=tuple(rows),
        left=frozenset(column - skip for column in (0, 1, 2, 3, 6, 7)),
        strong=frozenset(number for number, row in enumerate(rows) if row["calibration"] == "synthetic"),
        notes=(*NOTES, ATTENTION_NOTE) if any(row["product_bops"] for row in rows) else NOTES,
    )


def _cells(row: Row) -> tuple[str, ...]:
    return (
        row["model"],
        row["manifest"],
        row["bits"],
        row["calibration"],
        str(row["runs"]),
        rate_cell(row),
        f"[{row['wer_min']:.2f}, {row['wer_max']:.2f}]" if row["runs"] > 1 else "",
        "-" if row["bits"] == "float32" else difference_cell(row),
        f"{row['decoded_identical']:.1f}",
        f"{row['cer']:.2f}",
        f"{row['size_bytes']:,}",
        f"{row['bops'] / 1e9:,.1f}",
    )


def overview_sheet(rows: Sequence[Row]) -> Sheet:
    """Return one line per model and set: float WER, then every program's distance from it in points, a column each."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        is_float = row["bits"] == "float32"
        heading = "float32" if is_float else f"{row['bits']} {row['calibration']}"
        cell = f"{row['wer']:.2f}" if is_float else f"{row['difference']:+.2f}"
        lines.setdefault((row["model"], row["manifest"]), {})[heading] = cell
    headings = tuple(next(iter(lines.values())))
    return Sheet(
        title="overview: WER of float in percent, every program's distance from it in points",
        headings=("model", "set", *headings),
        rows=tuple((*place, *(cells[heading] for heading in headings)) for place, cells in lines.items()),
        records=(),
        left=frozenset((0, 1)),
    )
