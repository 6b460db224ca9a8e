"""What calibration without data is worth to others: int8 models of ONNX Runtime, with our ranges and with its own."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any, Literal

from eval.machine import describe_machine
from zeroq_asr.exporters.onnx_calibration import OnnxTokens, cache_bytes, require_onnxruntime
from zeroq_asr.exporters.onnx_int8 import quantize_onnx
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_asr.pipelines.ranges import measure_ranges, save_float
from zeroq_asr.runtime.transcriber import Transcriber
from zeroq_research.experiments import Bench, Program, score_texts
from zeroq_research.feature_cache import FeatureShelf
from zeroq_research.report.page import paragraph
from zeroq_research.report.table import Sheet, difference_cell, rate_cell
from zeroq_research.reproduction.sections import OnStep, Part, Study
from zeroq_research.result_cache import Json, code_digest
from zeroq_research.tables import compare_cells

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_research.tables import Plan

Row = dict[str, Any]
Ranges = Literal["-", "ours", "min-max"]
RANGES: tuple[Ranges, ...] = ("ours", "min-max")
"""Measured by us; by ONNX Runtime's min-max calibration."""
_CODE = (
    "zeroq_asr/engines",
    "zeroq_asr/export",
    "zeroq_asr/pipelines/ranges.py",
    "zeroq_research/reproduction/engines.py",
)
"""What decides over a result besides the arithmetic of the other cells."""


@dataclass(frozen=True)
class Form:
    """An ONNX file: the float model, or its int8 form with these ranges on the calibration data of `program`."""

    program: Program
    ranges: Ranges

    @property
    def name(self) -> str:
        """ "float32" or "int8, ranges ours, synthetic, seed 2"."""
        if self.ranges == "-":
            return "float32"
        return f"int8, ranges {self.ranges}, {self.program.calibration}, seed {self.program.seed}"


class EngineBench:
    """Scores the forms of one model in ONNX Runtime, cell by cell; the files lie in `folder` while it works."""

    def __init__(self, study: Study, model: FloatModel, shelf: FeatureShelf, folder: Path) -> None:
        self._store, self._settings = study.store, study.plan.settings
        self.model_name = model.name
        self._model, self._shelf, self._folder = model, shelf, folder
        self._bench = Bench(study.store, model, study.plan.settings, shelf)
        self._open: tuple[Form, Transcriber] | None = None

    def float_score(self, test_set: TestSet, on_step: OnStep) -> Json:
        """The cell of our own float model, which the tables share."""
        return self._bench.score(Program(), test_set, on_step)

    def score(self, form: Form, test_set: TestSet, on_step: OnStep) -> Json:
        """The cell of a form: texts and rates as `Bench.score` gives them, size_bytes. Raises ZeroqError."""
        inputs = self._inputs(form, test_set)
        found = self._store.find("onnxruntime", inputs)
        if found is not None:
            return found
        result = self._store.get("onnxruntime", inputs, lambda: self._compute(form, test_set, on_step))
        on_step(f"{self._model.name} ONNX Runtime {form.name}, {test_set.name}: WER {result['wer']:.2f} %")
        return result

    def count_steps(self, forms: Sequence[Form], sets: Sequence[TestSet], shared: bool) -> int:
        """How many steps are still to be done; `shared`: those that tables take too (our float model, synthesis)."""
        missing = {f: [s for s in sets if self._store.find("onnxruntime", self._inputs(f, s)) is None] for f in forms}
        own = sum(map(len, missing.values()))
        if not shared:
            return own
        synthesis = self._bench.count_synthesis(form.program for form in forms if missing[form])
        return own + synthesis + self._bench.count_steps([Program()], sets)

    def _inputs(self, form: Form, test_set: TestSet) -> Json:
        return {
            **self._bench.inputs(form.program, test_set),
            "ranges": form.ranges,
            "engine": {name: version(name) for name in ("onnx", "onnxruntime")},
            "instructions": _instructions(),  # its results differ between processors
            "engine_code": code_digest(_CODE),
        }

    def _compute(self, form: Form, test_set: TestSet, on_step: OnStep) -> Json:
        if self._open is None or self._open[0] != form:
            self._open = (form, self._transcriber(form, on_step))
        transcriber = self._open[1]
        texts = self._shelf.transcribe(transcriber, test_set)
        return {**score_texts(test_set, texts), "size_bytes": transcriber.size_bytes}

    def _transcriber(self, form: Form, on_step: OnStep) -> Transcriber:
        path = save_float(self._model, self._folder)
        if form.ranges != "-":
            path = self._quantized(form, path, on_step)
        source, size = OnnxTokens(path, self._settings.threads), path.stat().st_size
        return Transcriber(
            self._model.name, form.name, "float", size, self._model.frontend, self._model.vocabulary, source
        )

    def _quantized(self, form: Form, source: Path, on_step: OnStep) -> Path:
        batches, _ = self._bench.calibration_data(form.program, on_step)
        target, config = self._folder / "int8.onnx", form.program.config
        assert config is not None
        if form.ranges == "min-max":
            quantize_onnx(source, target, (mel[None, :, None] for batch in batches for mel in batch), optimize=False)
            return target
        graph, threads = prepare(self._model.graph), self._settings.threads
        table = measure_ranges(source, graph, batches, config, form.program.calibration, threads)
        (self._folder / "ranges.json").write_bytes(cache_bytes(table))
        quantize_onnx(source, target, ranges=self._folder / "ranges.json", optimize=False)
        return target


@cache
def _instructions() -> tuple[str, ...]:
    return tuple(describe_machine()["features"])


def forms_of(plan: Plan) -> list[Form]:
    """The float file, and the int8 files of every calibration by our ranges and by the runtime's own."""
    config = replace(plan.config, bits=8, act_bits=8, methods=())
    return [
        Form(Program(), "-"),
        *(
            Form(Program(config, calibration, seed), ranges)
            for calibration in plan.calibrations
            for ranges in RANGES
            for seed in (plan.seeds[:1] if calibration == "real" else plan.seeds)
        ),
    ]


def onnxruntime(study: Study, on_step: OnStep) -> Part:
    """WER of ONNX Runtime's int8 models with ranges from synthetic, random and real data, ours and its own."""
    rows = [row for bench in _benches(study) for row in _rows(bench, study, on_step)]
    sheet = engine_sheet(rows)
    body = paragraph("The same ONNX file, quantized by ONNX Runtime itself; only the ranges differ.") + sheet.to_html()
    return Part("onnxruntime", "ONNX Runtime int8 with our ranges", body, {"onnxruntime": sheet}, {})


def count_onnxruntime(study: Study, shared: bool) -> int:
    """Steps of `onnxruntime` still to be done, without `shared` those that no table takes too.

    Raises ConfigError without the extra `peers`.
    """
    forms = forms_of(study.plan)
    return sum(bench.count_steps(forms, study.sets, shared) for bench in _benches(study))


def _benches(study: Study) -> Iterator[EngineBench]:
    """One model in memory at a time."""
    require_onnxruntime()
    shelf = FeatureShelf()
    for reference in study.plan.models:
        with TemporaryDirectory(prefix="zeroq-engines-") as folder:
            yield EngineBench(study, load_float_model(reference), shelf, Path(folder))


def _rows(bench: EngineBench, study: Study, on_step: OnStep) -> list[Row]:
    forms = forms_of(study.plan)
    cells = {(f, s.name): bench.score(f, s, on_step) for f in forms for s in study.sets}
    rows = []
    for test_set in study.sets:
        ours = bench.float_score(test_set, on_step)
        groups: dict[tuple[str, str], list[Json]] = {}
        for form in forms:
            groups.setdefault((form.program.calibration, form.ranges), []).append(cells[form, test_set.name])
        facts = {"model": bench.model_name, "manifest": test_set.name}
        rows += [
            {**facts, "bits": "float32" if ranges == "-" else "int8", "calibration": data, "ranges": ranges}
            | _facts(members, ours)
            for (data, ranges), members in groups.items()
        ]
    return rows


def _facts(members: Sequence[Json], baseline: Json) -> Row:
    float_rate, size = {"wer_float": baseline["wer"]}, {"size_bytes": members[0]["size_bytes"]}
    return compare_cells(members, baseline, wer_runs=float_rate, decoded_identical=size)


def engine_sheet(rows: Sequence[Row]) -> Sheet:
    """One line per model, set and calibration data; a group of columns for our ranges and one for the runtime's."""
    groups: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows:
        groups.setdefault((row["model"], row["manifest"], row["calibration"]), {})[row["ranges"]] = row
    lines = []
    for (model, manifest, data), members in groups.items():
        if "-" in members:
            lines.append((model, manifest, "float32", *_float_cells(members["-"])))
        else:
            lines.append(
                (model, manifest, f"int8 {data}", *(text for name in RANGES for text in _cells(members[name])))
            )
    return Sheet(
        title="ONNX Runtime: WER %, and the difference to float in points",
        headings=("model", "set", "form", "our ranges", "vs float [95 %]", "same text %", *_OTHERS),
        rows=tuple(lines),
        records=tuple(rows),
        left=frozenset({0, 1, 2, 4, 7}),
        strong=frozenset(number for number, line in enumerate(lines) if line[2] == "int8 synthetic"),
        notes=_NOTES,
    )


_OTHERS = ("its min-max", "vs float [95 %]", "same text %")
_NOTES = (
    "int8: QDQ, unsigned activations, weights per output channel, every operation that ONNX Runtime quantizes. Our "
    "ranges: as quantize measures them; min-max: ONNX Runtime's own calibration on the same data. float32 beside our "
    "float model: the texts that are the same.",
    "WER: mean over the runs (seeds) ± their standard deviation. vs float: paired difference to our float model in "
    "points, with the 95 % interval of a bootstrap over utterances and runs; * excludes zero.",
)


def _float_cells(row: Row) -> tuple[str, ...]:
    return (f"{row['wer']:.2f}", "", f"{row['decoded_identical']:.1f}", "", "", "")


def _cells(row: Mapping[str, Any]) -> tuple[str, str, str]:
    return rate_cell(row), difference_cell(row), f"{row['decoded_identical']:.1f}"
