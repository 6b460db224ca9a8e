"""Int8 models of ONNX Runtime with our ranges and with its own: the value of calibration without data to others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

from eval.machine import describe_machine
from zeroq_asr.exporters.onnx_calibration import OnnxTokens, cache_bytes, require_onnxruntime
from zeroq_asr.exporters.onnx_int8 import quantize_onnx
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_asr.pipelines.ranges import measure_ranges, save_float
from zeroq_asr.runtime.transcriber import Transcriber
from zeroq_research.experiments import ExperimentConfig, ExperimentRunner, score_texts
from zeroq_research.feature_cache import FeatureCache
from zeroq_research.progress import OnStep, ignore_step
from zeroq_research.report.page import ReportSection, paragraph
from zeroq_research.report.table import ReportTable, format_difference, format_rate
from zeroq_research.reproduction.config import ReproductionConfig
from zeroq_research.result_cache import Json, source_digest
from zeroq_research.tables import TableSpec, compare_results

Row = dict[str, Any]
Ranges = Literal["-", "ours", "min-max"]
RANGES: tuple[Ranges, ...] = ("ours", "min-max")
"""Measured by us; measured by ONNX Runtime's min-max calibration."""
_SOURCES = (
    "zeroq_asr/exporters",
    "zeroq_asr/pipelines/ranges.py",
    "zeroq_research/reproduction/onnxruntime.py",
)
"""The sources that decide a result, besides `result_cache.ARITHMETIC`."""


@dataclass(frozen=True)
class OnnxConfig:
    """An ONNX file: the float model, or its int8 form with `ranges` on the calibration data of `experiment`."""

    experiment: ExperimentConfig
    ranges: Ranges

    @property
    def name(self) -> str:
        """Return "float32" or e.g. "int8, ranges ours, synthetic, seed 2"."""
        if self.ranges == "-":
            return "float32"
        return f"int8, ranges {self.ranges}, {self.experiment.calibration}, seed {self.experiment.seed}"


class OnnxRuntimeRunner:
    """Scores the ONNX files of one model in ONNX Runtime, with cached results; `folder` holds the files meanwhile."""

    def __init__(self, runner: ExperimentRunner, folder: Path) -> None:
        self.runner, self._cache, self._model = runner, runner.cache, runner.model
        self._threads, self._folder = runner.settings.threads, folder
        self._opened: tuple[OnnxConfig, Transcriber] | None = None

    def score(self, config: OnnxConfig, test_set: TestSet) -> Json:
        """Return the keys of `score_texts` and size_bytes of the file. Raises ZeroqError, EvalError."""
        inputs = self._inputs(config, test_set)
        found = self._cache.find("onnxruntime", inputs)
        if found is not None:
            return found
        result = self._cache.get("onnxruntime", inputs, lambda: self._compute(config, test_set))
        self.runner.on_step(
            f"{self._model.name} ONNX Runtime {config.name}, {test_set.name}: WER {result['wer']:.2f} %"
        )
        return result

    def count_steps(self, configs: Sequence[OnnxConfig], sets: Sequence[TestSet], shared: bool) -> int:
        """Return the number of steps still to be done.

        shared: count what the tables do too, our float model's scores and synthesis.
        """
        missing = {c: [s for s in sets if self._cache.find("onnxruntime", self._inputs(c, s)) is None] for c in configs}
        own = sum(map(len, missing.values()))
        if not shared:
            return own
        synthesis = self.runner.count_synthesis(config.experiment for config in configs if missing[config])
        return own + synthesis + self.runner.count_steps([ExperimentConfig()], sets)

    def _inputs(self, config: OnnxConfig, test_set: TestSet) -> Json:
        return {
            **self.runner.inputs(config.experiment, test_set),
            "ranges": config.ranges,
            "engine": {name: version(name) for name in ("onnx", "onnxruntime")},
            "instructions": _instructions(),  # results of ONNX Runtime differ between processors
            "engine_code": source_digest(_SOURCES),
        }

    def _compute(self, config: OnnxConfig, test_set: TestSet) -> Json:
        if self._opened is None or self._opened[0] != config:
            self._opened = (config, self._open(config))
        transcriber = self._opened[1]
        texts = self.runner.features.transcribe(transcriber, test_set)
        return {**score_texts(test_set, texts), "size_bytes": transcriber.size_bytes}

    def _open(self, config: OnnxConfig) -> Transcriber:
        path = save_float(self._model, self._folder)
        if config.ranges != "-":
            path = self._quantize(config, path)
        source, size = OnnxTokens(path, self._threads), path.stat().st_size
        return Transcriber(
            self._model.name, config.name, "float", size, self._model.frontend, self._model.vocabulary, source
        )

    def _quantize(self, config: OnnxConfig, source: Path) -> Path:
        batches, _ = self.runner.calibration_data(config.experiment)
        target, quantize_config = self._folder / "int8.onnx", config.experiment.config
        assert quantize_config is not None
        if config.ranges == "min-max":
            quantize_onnx(source, target, (mel[None, :, None] for batch in batches for mel in batch), optimize=False)
            return target
        graph, calibration = prepare(self._model.graph), config.experiment.calibration
        ranges = measure_ranges(source, graph, batches, quantize_config, calibration, self._threads)
        (self._folder / "ranges.json").write_bytes(cache_bytes(ranges))
        quantize_onnx(source, target, ranges=self._folder / "ranges.json", optimize=False)
        return target


@cache
def _instructions() -> tuple[str, ...]:
    return tuple(describe_machine()["features"])


def onnx_configs(spec: TableSpec) -> list[OnnxConfig]:
    """Return the float file, and the int8 files of every calibration with our ranges and with the runtime's own."""
    config = replace(spec.config, bits=8, act_bits=8, methods=())
    return [
        OnnxConfig(ExperimentConfig(), "-"),
        *(
            OnnxConfig(ExperimentConfig(config, calibration, seed), ranges)
            for calibration in spec.calibrations
            for ranges in RANGES
            for seed in (spec.seeds[:1] if calibration == "real" else spec.seeds)
        ),
    ]


def onnxruntime(config: ReproductionConfig, on_step: OnStep) -> ReportSection:
    """Return WER of ONNX Runtime's int8 models with ranges from synthetic, random and real data, ours and its own."""
    rows = [row for runner in _runners(config, on_step) for row in _rows(runner, config)]
    table = onnxruntime_table(rows)
    body = paragraph("The same ONNX file, quantized by ONNX Runtime itself; only the ranges differ.") + table.to_html()
    return ReportSection("ONNX Runtime int8 with our ranges", body, {"onnxruntime": table})


def count_onnxruntime(config: ReproductionConfig, shared: bool) -> int:
    """Return the number of steps that `onnxruntime` still has to do.

    shared: count what the tables do too. Raises ConfigError without the extra `peers`.
    """
    configs = onnx_configs(config.spec)
    return sum(runner.count_steps(configs, config.sets, shared) for runner in _runners(config))


def _runners(config: ReproductionConfig, on_step: OnStep = ignore_step) -> Iterator[OnnxRuntimeRunner]:
    """Yield a runner per model; one model is in memory at a time."""
    require_onnxruntime()
    features = FeatureCache()
    for reference in config.spec.models:
        model = load_float_model(reference)
        with TemporaryDirectory(prefix="zeroq-onnxruntime-") as folder:
            runner = ExperimentRunner(config.cache, model, config.spec.settings, features, on_step)
            yield OnnxRuntimeRunner(runner, Path(folder))


def _rows(runner: OnnxRuntimeRunner, config: ReproductionConfig) -> list[Row]:
    configs = onnx_configs(config.spec)
    results = {(c, s.name): runner.score(c, s) for c in configs for s in config.sets}
    rows = []
    for test_set in config.sets:
        baseline = runner.runner.score(ExperimentConfig(), test_set)  # our own float model, which the tables score too
        groups: dict[tuple[str, str], list[Json]] = {}
        for one in configs:
            groups.setdefault((one.experiment.calibration, one.ranges), []).append(results[one, test_set.name])
        names = {"model": runner.runner.model.name, "manifest": test_set.name}
        rows += [
            {**names, "bits": "float32" if ranges == "-" else "int8", "calibration": data, "ranges": ranges}
            | _columns(runs, baseline)
            for (data, ranges), runs in groups.items()
        ]
    return rows


def _columns(runs: Sequence[Json], baseline: Json) -> Row:
    float_rate, size = {"wer_float": baseline["wer"]}, {"size_bytes": runs[0]["size_bytes"]}
    return compare_results(runs, baseline, wer_runs=float_rate, decoded_identical=size)


def onnxruntime_table(rows: Sequence[Row]) -> ReportTable:
    """Return one line per model, set and calibration; a group of columns for our ranges and one for its own."""
    groups: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["manifest"], row["calibration"]), {})[row["ranges"]] = row
    lines = []
    for (model, manifest, data), members in groups.items():
        if "-" in members:
            lines.append((model, manifest, "float32", *_float_cells(members["-"])))
        else:
            cells = (text for name in RANGES for text in _cells(members[name]))
            lines.append((model, manifest, f"int8 {data}", *cells))
    return ReportTable(
        title="ONNX Runtime: WER %, and the difference to float in points",
        headings=(
            *("model", "set", "form"),
            *("our ranges", "vs float [95 %]", "same text %"),
            *("its min-max", "vs float [95 %]", "same text %"),
        ),
        rows=tuple(lines),
        records=tuple(rows),
        left=frozenset({0, 1, 2, 4, 7}),
        strong=frozenset(number for number, line in enumerate(lines) if line[2] == "int8 synthetic"),
        notes=_NOTES,
    )


_NOTES = (
    "int8: QDQ, unsigned activations, weights per output channel, every operation that ONNX Runtime quantizes. Our "
    "ranges: as quantize measures them; min-max: ONNX Runtime's own calibration on the same data. float32: the "
    "percentage of texts equal to those of our float model.",
    "WER: mean over the runs (seeds) ± their standard deviation. vs float: paired difference to our float model in "
    "points, with the 95 % interval of a bootstrap over utterances and runs; * excludes zero.",
)


def _float_cells(row: Row) -> tuple[str, ...]:
    return (f"{row['wer']:.2f}", "", f"{row['decoded_identical']:.1f}", "", "", "")


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return format_rate(row), format_difference(row), f"{row['decoded_identical']:.1f}"
