"""The main table: float models against their integer forms, calibrated in several ways, over several seeds."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from eval.compare import compare_runs
from zeroq_asr.config import ANALYTIC, DETERMINISTIC, SEED, QuantizeConfig
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_research.experiments import ExperimentConfig, ExperimentRunner, ExperimentSettings
from zeroq_research.feature_cache import FeatureCache
from zeroq_research.progress import OnStep, ignore_step
from zeroq_research.report.table import ReportTable, format_difference, format_rate
from zeroq_research.result_cache import Json, ResultCache

Row = dict[str, Any]


@dataclass(frozen=True)
class TableSpec:
    """What the table compares.

    models: references that `load_float_model` resolves. bits: of the weights. configs: all other settings.
    """

    models: tuple[str, ...]
    bits: tuple[int, ...]
    configs: tuple[QuantizeConfig, ...]
    calibrations: tuple[str, ...]
    seeds: tuple[int, ...]
    settings: ExperimentSettings

    @property
    def config(self) -> QuantizeConfig:
        """Return the first configuration, for results that show a single one."""
        return self.configs[0]

    @property
    def experiments(self) -> list[ExperimentConfig]:
        """Return every experiment of one model, each once, the float model first."""
        quantized = [
            ExperimentConfig(_relevant(replace(config, bits=bits), calibration), calibration, seed)
            for config in self.configs
            for calibration in self.calibrations
            for seed in (self.seeds[:1] if calibration in DETERMINISTIC else self.seeds)
            for bits in self.bits
        ]
        return list(dict.fromkeys([ExperimentConfig(), *quantized]))


def _relevant(config: QuantizeConfig, calibration: str) -> QuantizeConfig:
    """Reset what this calibration does not use: analytic calibration has no data to measure ranges on."""
    if calibration != ANALYTIC:
        return config
    return replace(config, range_method=QuantizeConfig.range_method, percentile=QuantizeConfig.percentile)


class TableRunner:
    """Computes the rows of a table; results that `cache` holds are not computed again.

    on_step: called after every finished step, see `ExperimentRunner`.
    """

    def __init__(
        self, spec: TableSpec, sets: Sequence[TestSet], cache: ResultCache, on_step: OnStep = ignore_step
    ) -> None:
        self._spec, self._sets, self._cache, self._on_step = spec, tuple(sets), cache, on_step

    def count_steps(self) -> int:
        """Return how often `run` will call `on_step`. Raises ZeroqError for a model that cannot be loaded."""
        return sum(runner.count_steps(self._spec.experiments, self._sets) for runner in self._runners())

    def run(self) -> list[Row]:
        """Return one row per model, set, bits and calibration. Raises ZeroqError, EvalError."""
        rows: list[Row] = []
        for runner in self._runners():
            results = {(e, s.name): runner.score(e, s) for e in self._spec.experiments for s in self._sets}
            rows += [row for s in self._sets for row in self._rows(runner.model.name, s.name, results)]
        return rows

    def _runners(self) -> Iterator[ExperimentRunner]:
        """Yield a runner per model; one model is in memory at a time."""
        from zeroq_asr.models.resolve import load_float_model

        features = FeatureCache()
        for reference in self._spec.models:
            model = load_float_model(reference)
            yield ExperimentRunner(self._cache, model, self._spec.settings, features, self._on_step)

    def _rows(self, model: str, manifest: str, results: Mapping[tuple[ExperimentConfig, str], Json]) -> list[Row]:
        groups: dict[tuple[str, str], list[Json]] = {}
        for experiment in sorted(self._spec.experiments, key=_weight_bits, reverse=True):  # a stable sort
            groups.setdefault((experiment.bits, experiment.calibration), []).append(results[experiment, manifest])
        baseline = results[ExperimentConfig(), manifest]
        return [
            {
                "model": model,
                "manifest": manifest,
                "bits": bits,
                "calibration": calibration,
                **_columns(runs, baseline),
            }
            for (bits, calibration), runs in groups.items()
        ]


def _weight_bits(experiment: ExperimentConfig) -> int:
    return 32 if experiment.config is None else experiment.config.bits


def _columns(runs: Sequence[Json], baseline: Json) -> Row:
    rates = [run["wer"] for run in runs]
    return compare_results(
        runs,
        baseline,
        words={"hypothesis_words": statistics.fmean(run["hypothesis_words"] for run in runs)},
        wer_deviation={"wer_min": min(rates), "wer_max": max(rates)},
        wer_runs={key: runs[0][key] if len(runs) == 1 else None for key in ("wer_low", "wer_high")},
        decoded_identical={
            "cer": statistics.fmean(run["cer"] for run in runs),
            **{key: runs[0][key] for key in ("size_bytes", "macs", "bops", "product_bops")},
        },
    )


def compare_results(runs: Sequence[Json], baseline: Json, **insert_after: Row) -> Row:
    """Return what several runs (seeds) of one experiment scored on a set, compared with the float model's result.

    runs, baseline: results of `score_texts`. wer: the mean over the runs in percent; difference: to the baseline in
    points, with its 95 % interval (`compare_runs`); decoded_identical: percent of equal texts. insert_after: further
    columns by the key that they follow, because files list their columns in the order of the row's keys.
    """
    rates = [run["wer"] for run in runs]
    texts = [run["hypotheses"] for run in runs]
    pair = compare_runs(baseline["references"], baseline["hypotheses"], texts, SEED)
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
    return {name: one for key, value in row.items() for name, one in {key: value, **insert_after.get(key, {})}.items()}


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
ATTENTION_NOTE = (
    "GBOP: convolutions and linear layers, as the paper counts; products inside attention are not included."
)


def main_table(rows: Sequence[Row], title: str = "float against integer") -> ReportTable:
    """Return the rows of `TableRunner.run` as a table; with a single model its column is omitted."""
    skip = 1 if len({row["model"] for row in rows}) == 1 else 0
    return ReportTable(
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
        format_rate(row),
        f"[{row['wer_min']:.2f}, {row['wer_max']:.2f}]" if row["runs"] > 1 else "",
        "-" if row["bits"] == "float32" else format_difference(row),
        f"{row['decoded_identical']:.1f}",
        f"{row['cer']:.2f}",
        f"{row['size_bytes']:,}",
        f"{row['bops'] / 1e9:,.1f}",
    )


def overview_table(rows: Sequence[Row]) -> ReportTable:
    """Return one line per model and set: float WER, and in a column per integer form its difference in points."""
    lines: dict[tuple[str, str], dict[str, str]] = {}
    for row in rows:
        is_float = row["bits"] == "float32"
        heading = "float32" if is_float else f"{row['bits']} {row['calibration']}"
        cell = f"{row['wer']:.2f}" if is_float else f"{row['difference']:+.2f}"
        lines.setdefault((row["model"], row["manifest"]), {})[heading] = cell
    headings = tuple(next(iter(lines.values())))
    return ReportTable(
        title="overview: WER of the float model in percent, differences of the integer forms in points",
        headings=("model", "set", *headings),
        rows=tuple((*names, *(cells[heading] for heading in headings)) for names, cells in lines.items()),
        records=(),
        left=frozenset((0, 1)),
    )
