"""One model, one way to quantize it: where the error comes from, layer by layer. Every layer is a cell."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.analyses.sensitivity import Answer, Layer, Sensitivity
from zeroq_asr.analyses.value_errors import CodeError, measure_codes
from zeroq_asr.config import PROBES
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_asr.pipelines.quantize import quantize_model
from zeroq_research.experiments import Bench, BenchSettings, Program
from zeroq_research.feature_cache import FeatureShelf
from zeroq_research.report.page import Section, page, plots
from zeroq_research.report.plots import Axis, Point, Series, plot
from zeroq_research.report.table import Sheet
from zeroq_research.result_cache import CellStore, Json

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.quant.ranges import RangeTable

OnStep = Callable[[str], None]
Row = dict[str, Any]


@dataclass(frozen=True)
class Analysis:
    """rows: one per layer, the worst alone first. whole: the same numbers for the float and the integer model.

    codes: the error of every stored value, by name. ranges: what calibration measured.
    """

    model: str
    bits: str
    rows: tuple[Row, ...]
    whole: Mapping[str, Row]
    codes: Mapping[str, CodeError]
    ranges: RangeTable

    def to_json(self) -> Json:
        """Plain values, without the histograms."""
        values = [{"value": name, **_measured(error), **self._range(name)} for name, error in self.codes.items()]
        document: Json = {"model": self.model, "bits": self.bits, "whole": dict(self.whole)}
        return {**document, "layers": list(self.rows), "values": values}

    def _range(self, name: str) -> Row:
        found = self.ranges.ranges.get(name)
        return {} if found is None else {"range_lo": found.lo, "range_hi": found.hi}


def analyze(
    store: CellStore, model: FloatModel, settings: BenchSettings, program: Program, probes: TestSet, on_step: OnStep
) -> Analysis:
    """Measure every layer of `program`, made of `model`, on the utterances of `probes`; `on_step` hears of each layer.

    Raises ZeroqError, EvalError.
    """
    from synth.device import use_device
    from zeroq_asr.runtime.float_executor import FloatExecutor

    assert program.config is not None
    bench = Bench(store, model, settings, FeatureShelf())
    batches, _ = bench.calibration_data(program, on_step)
    use_device(settings.device, settings.threads)
    made = quantize_model(model, batches, program.calibration, program.config, device=settings.device)
    graph, qparams = made.graph, made.qparams
    mels = FeatureShelf().block(probes, 0, range(len(probes.utterances)), model.frontend)
    codes = measure_codes(FloatExecutor(graph), made.model.program, qparams, mels, settings.threads)
    sensitivity = Sensitivity(graph, qparams, program.config, mels, made.corrected, made.rounded)
    judge = _Judge(model, probes, sensitivity.real())
    whole = {"float": judge.row(sensitivity.real()), "integer": judge.row(sensitivity.everything())}
    rows = []
    for depth, layer in enumerate(sensitivity.layers):
        inputs = {**bench.inputs(program, probes), "layer": layer.name}
        cell = store.get("sensitivity", inputs, partial(_measure, sensitivity, judge, layer))
        rows.append({"depth": depth, **_row(layer, cell, whole["integer"], codes, graph.constants)})
        on_step(f"{model.name}: {layer.name}")
    rows.sort(key=lambda row: (-row["kl_only"], row["depth"]))
    return Analysis(model.name, program.bits, tuple(rows), whole, codes, made.table)


def spread(test_set: TestSet, count: int = PROBES) -> TestSet:
    """`count` utterances of a set, evenly spread."""
    every = test_set.utterances
    return TestSet(test_set.name, every[:: max(1, len(every) // count)][:count])


def count_steps(store: CellStore, model: FloatModel, settings: BenchSettings, program: Program) -> int:
    """How many steps `analyze` will tell of: layers, and batches of missing synthetic data."""
    layers = sum(node.op in (*CONVOLUTIONS, "attention") for node in model.graph.nodes)
    return layers + Bench(store, model, settings, FeatureShelf()).count_synthesis([program])


class _Judge:
    """Turns best ids into texts and texts into numbers."""

    def __init__(self, model: FloatModel, probes: TestSet, real: Answer) -> None:
        self._vocabulary = model.vocabulary
        self._references = [utterance.text for utterance in probes.utterances]
        self._float = self._texts(real)

    def row(self, answer: Answer) -> Row:
        """kl: nats per frame. wer: percent. changed: words that differ from the float model's."""
        from eval.text import normalise
        from eval.wer import edit_counts, score

        texts = self._texts(answer)
        changed = edit_counts([normalise(t) for t in self._float], [normalise(t) for t in texts])
        return {
            "kl": answer.kl,
            "wer": score(self._references, texts).wer,
            "changed": int(changed.errors.sum()),
        }

    def _texts(self, answer: Answer) -> list[str]:
        from eval.ctc import decode

        return [decode(ids, self._vocabulary) for ids in answer.tokens]


def _measure(sensitivity: Sensitivity, judge: _Judge, layer: Layer) -> Json:
    return {"only": judge.row(sensitivity.only(layer)), "all_but": judge.row(sensitivity.all_but(layer))}


def _row(layer: Layer, cell: Json, whole: Row, codes: Mapping[str, CodeError], constants: Mapping[str, Any]) -> Row:
    only, without = cell["only"], cell["all_but"]
    worst = min((codes[name] for name in layer.reads), key=lambda error: error.sqnr_db, default=None)
    return {
        "layer": layer.name,
        "op": layer.op,
        "weights": int(constants[layer.weight].size) if layer.weight is not None else 0,
        **({} if worst is None else _measured(worst)),
        "kl_only": only["kl"],
        "wer_only": only["wer"],
        "changed_only": only["changed"],
        "kl_all_but": without["kl"],
        "kl_gain": whole["kl"] - without["kl"],
        "wer_all_but": without["wer"],
        "changed_all_but": without["changed"],
    }


def _measured(error: CodeError) -> Row:
    sqnr = error.sqnr_db if math.isfinite(error.sqnr_db) else None
    return {"sqnr_db": sqnr, "cosine": error.cosine, "clipped": error.clipped}


def analysis_sheet(analysis: Analysis, top: int | None = None) -> Sheet:
    """The layers, the worst alone first; `top` of them."""
    rows = analysis.rows[:top]
    whole = analysis.whole
    headings = (
        "rank", "layer", "op", "weights", "SQNR dB", "cosine", "KL only this", "words changed", "KL all but this",
        "KL gained", "words changed", "WER % only", "WER % all but",
    )  # fmt: skip
    cells = tuple(
        (
            str(rank),
            row["layer"],
            row["op"],
            f"{row['weights']:,}" if row["weights"] else "",
            "exact" if row.get("sqnr_db") is None else f"{row['sqnr_db']:.1f}",
            f"{row['cosine']:.5f}" if "cosine" in row else "",
            f"{row['kl_only']:.2e}",
            str(row["changed_only"]),
            f"{row['kl_all_but']:.2e}",
            f"{row['kl_gain']:+.2e}",
            str(row["changed_all_but"]),
            f"{row['wer_only']:.2f}",
            f"{row['wer_all_but']:.2f}",
        )
        for rank, row in enumerate(rows, 1)
    )
    integer, real = whole["integer"], whole["float"]
    return Sheet(
        title=f"{analysis.model} {analysis.bits}: layers by what each does alone",
        headings=headings,
        rows=cells,
        records=tuple(rows),
        left=frozenset({1, 2}),
        notes=(
            f"All layers integer: KL {integer['kl']:.2e} nats a frame, {integer['changed']} words other than the float "
            f"model's, WER {integer['wer']:.2f} % (float {real['wer']:.2f} %).",
            "only this: this layer's weights and the values it reads are rounded, the rest is real. all but this: the "
            "other way round; gained: how much smaller the divergence of the whole becomes. KL: of the CTC posteriors, "
            "float against rounded, nats a frame. SQNR, cosine: the worst value the layer reads, in the integer "
            "program, with the errors of all earlier layers.",
        ),
    )


def analysis_page(analysis: Analysis) -> str:
    """The web page of one analysis."""
    sections = [
        Section("By depth", analysis_plots(analysis)),
        Section("Layers", analysis_sheet(analysis).to_html()),
        Section("Stored values", values_sheet(analysis).to_html()),
    ]
    whole = analysis.whole["integer"]
    words = f"{analysis.bits}: KL {whole['kl']:.2e} nats a frame, {whole['changed']} words changed by rounding."
    return page(f"Where the error of {analysis.model} comes from", words, sections)


def analysis_plots(analysis: Analysis) -> str:
    """Divergence and signal to noise ratio by depth."""
    by_depth = sorted(analysis.rows, key=lambda row: row["depth"])
    inexact = [row for row in by_depth if row.get("sqnr_db") is not None]
    divergence = plot(
        "Divergence by depth",
        Axis("layer, in the order of execution"),
        Axis("KL, nats a frame", log=True),
        [
            Series("only this layer integer", _points(by_depth, "kl_only")),
            Series("gained when this layer stays float", _points(by_depth, "kl_gain"), line=False),
        ],
    )
    quality = plot(
        "Signal to quantization noise by depth",
        Axis("layer, in the order of execution"),
        Axis("SQNR (dB)"),
        [Series("worst value read", tuple(Point(r["depth"], r["sqnr_db"], "", r["layer"]) for r in inexact))],
    )
    return plots([divergence, quality])


def _points(rows: Sequence[Row], key: str) -> tuple[Point, ...]:
    return tuple(Point(row["depth"], row[key], "", f"{row['layer']}: {row[key]:.2e}") for row in rows)


def values_sheet(analysis: Analysis) -> Sheet:
    """Range, error and clipped share of every stored value."""
    records = analysis.to_json()["values"]
    cells = tuple(
        (
            record["value"],
            f"[{record['range_lo']:.4g}, {record['range_hi']:.4g}]" if "range_lo" in record else "",
            "exact" if record["sqnr_db"] is None else f"{record['sqnr_db']:.1f}",
            f"{record['cosine']:.5f}",
            f"{100 * record['clipped']:.3f}",
        )
        for record in records
    )
    return Sheet(
        title="Ranges and errors of the stored values",
        headings=("value", "range", "SQNR dB", "cosine", "at an end %"),
        rows=cells,
        records=tuple(records),
        left=frozenset({0, 1}),
    )
