"""Where the quantization error of one model comes from, layer by layer. The result of every layer is cached."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.analyses.sensitivity import Answer, Layer, Sensitivity
from zeroq_asr.analyses.value_errors import CodeError, measure_codes
from zeroq_asr.config import PROBES
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_asr.pipelines.quantize import quantize_model
from zeroq_research.experiments import ExperimentConfig, ExperimentRunner
from zeroq_research.feature_cache import FeatureCache
from zeroq_research.report.page import ReportSection, page, plots
from zeroq_research.report.plots import Axis, Point, Series, plot
from zeroq_research.report.table import ReportTable
from zeroq_research.report.template import Markup
from zeroq_research.result_cache import Json

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.quant.ranges import RangeTable

Row = dict[str, Any]


@dataclass(frozen=True)
class Analysis:
    """The sensitivity of every layer of one quantized model.

    rows: one per layer, sorted by the divergence of this layer alone, largest first. whole: kl, wer and changed words
    of the "float" and the "integer" model. codes: the error of every stored value, by name. ranges: as calibrated.
    """

    model: str
    bits: str
    rows: tuple[Row, ...]
    whole: Mapping[str, Row]
    codes: Mapping[str, CodeError]
    ranges: RangeTable

    def to_json(self) -> Json:
        """Return plain values, without the histograms."""
        values = [{"value": name, **_errors(error), **self._range(name)} for name, error in self.codes.items()]
        document: Json = {"model": self.model, "bits": self.bits, "whole": dict(self.whole)}
        return {**document, "layers": list(self.rows), "values": values}

    def _range(self, name: str) -> Row:
        found = self.ranges.ranges.get(name)
        return {} if found is None else {"range_lo": found.lo, "range_hi": found.hi}


def analyze(runner: ExperimentRunner, experiment: ExperimentConfig, probes: TestSet) -> Analysis:
    """Measure every layer of the runner's model on the utterances of `probes`.

    The runner's `on_step` is called after each layer. Raises ZeroqError, EvalError.
    """
    from synth.device import use_device
    from zeroq_asr.runtime.float_executor import FloatExecutor

    assert experiment.config is not None
    model, settings = runner.model, runner.settings
    batches, _ = runner.calibration_data(experiment)
    use_device(settings.device, settings.threads)
    made = quantize_model(model, batches, experiment.calibration, experiment.config, device=settings.device)
    graph, qparams = made.graph, made.qparams
    mels = FeatureCache().block(probes, 0, range(len(probes.utterances)), model.frontend)
    codes = measure_codes(FloatExecutor(graph), made.model.program, qparams, mels, settings.threads)
    sensitivity = Sensitivity(graph, qparams, experiment.config, mels, made.corrected, made.rounded)
    scorer = _Scorer(model, probes, sensitivity.real())
    whole = {"float": scorer.row(sensitivity.real()), "integer": scorer.row(sensitivity.everything())}
    rows = []
    for depth, layer in enumerate(sensitivity.layers):
        inputs = {**runner.inputs(experiment, probes), "layer": layer.name}
        measured = runner.cache.get("sensitivity", inputs, partial(_measure, sensitivity, scorer, layer))
        rows.append({"depth": depth, **_row(layer, measured, whole["integer"], codes, graph.constants)})
        runner.on_step(f"{model.name}: {layer.name}")
    rows.sort(key=lambda row: (-row["kl_only"], row["depth"]))
    return Analysis(model.name, experiment.bits, tuple(rows), whole, codes, made.table)


def choose_probes(test_set: TestSet, count: int = PROBES) -> TestSet:
    """Return at most `count` utterances of a set, evenly spread over it."""
    utterances = test_set.utterances
    return TestSet(test_set.name, utterances[:: max(1, len(utterances) // count)][:count])


def count_steps(runner: ExperimentRunner, experiment: ExperimentConfig) -> int:
    """Return how often `analyze` will call `on_step`: layers, and batches of missing synthetic data."""
    layers = sum(node.op in (*CONVOLUTIONS, "attention") for node in runner.model.graph.nodes)
    return layers + runner.count_synthesis([experiment])


class _Scorer:
    """Decodes token ids into texts and compares these with the references and with the float model's texts."""

    def __init__(self, model: FloatModel, probes: TestSet, real: Answer) -> None:
        self._vocabulary = model.vocabulary
        self._references = [utterance.text for utterance in probes.utterances]
        self._float = self._texts(real)

    def row(self, answer: Answer) -> Row:
        """Return kl in nats per frame, wer in percent, and changed: the words that differ from the float model's."""
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


def _measure(sensitivity: Sensitivity, scorer: _Scorer, layer: Layer) -> Json:
    return {"only": scorer.row(sensitivity.only(layer)), "all_but": scorer.row(sensitivity.all_but(layer))}


def _row(layer: Layer, measured: Json, whole: Row, codes: Mapping[str, CodeError], constants: Mapping[str, Any]) -> Row:
    only, all_but = measured["only"], measured["all_but"]
    worst = min((codes[name] for name in layer.reads), key=lambda error: error.sqnr_db, default=None)
    return {
        "layer": layer.name,
        "op": layer.op,
        "weights": int(constants[layer.weight].size) if layer.weight is not None else 0,
        **({} if worst is None else _errors(worst)),
        "kl_only": only["kl"],
        "wer_only": only["wer"],
        "changed_only": only["changed"],
        "kl_all_but": all_but["kl"],
        "kl_gain": whole["kl"] - all_but["kl"],
        "wer_all_but": all_but["wer"],
        "changed_all_but": all_but["changed"],
    }


def _errors(error: CodeError) -> Row:
    sqnr = error.sqnr_db if math.isfinite(error.sqnr_db) else None
    return {"sqnr_db": sqnr, "cosine": error.cosine, "clipped": error.clipped}


_LAYERS_NOTE = (
    "only this: this layer's weights and the values it reads are rounded. all but this: everything else is rounded; "
    "gained: how much smaller the divergence of the whole model becomes. KL: of the CTC posteriors, float against "
    "rounded, in nats per frame. SQNR, cosine: of the worst value that the layer reads in the integer model, with the "
    "errors of all earlier layers."
)


def layers_table(analysis: Analysis, top: int | None = None) -> ReportTable:
    """Return the layers, largest divergence alone first; only the first `top` of them if given."""
    rows = analysis.rows[:top]
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
    integer, real = analysis.whole["integer"], analysis.whole["float"]
    total = (
        f"All layers integer: KL {integer['kl']:.2e} nats per frame, {integer['changed']} words differ from the "
        f"float model's, WER {integer['wer']:.2f} % (float {real['wer']:.2f} %)."
    )
    return ReportTable(
        title=f"{analysis.model} {analysis.bits}: layers by their divergence alone",
        headings=headings,
        rows=cells,
        records=tuple(rows),
        left=frozenset({1, 2}),
        notes=(total, _LAYERS_NOTE),
    )


def analysis_page(analysis: Analysis) -> str:
    """Return the web page of one analysis as HTML."""
    sections = [
        ReportSection("By depth", analysis_plots(analysis)),
        ReportSection("Layers", layers_table(analysis).to_html()),
        ReportSection("Stored values", values_table(analysis).to_html()),
    ]
    whole = analysis.whole["integer"]
    words = f"{analysis.bits}: KL {whole['kl']:.2e} nats per frame, {whole['changed']} words changed by rounding."
    return page(f"Where the error of {analysis.model} comes from", words, sections)


def analysis_plots(analysis: Analysis) -> Markup:
    """Return plots of the divergence and of the signal to quantization noise ratio by depth."""
    by_depth = sorted(analysis.rows, key=lambda row: row["depth"])
    inexact = [row for row in by_depth if row.get("sqnr_db") is not None]
    divergence = plot(
        "Divergence by depth",
        Axis("layer, in the order of execution"),
        Axis("KL (nats per frame)", log=True),
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


def values_table(analysis: Analysis) -> ReportTable:
    """Return the range, the errors and the clipped percentage of every stored value."""
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
    return ReportTable(
        title="Ranges and errors of the stored values",
        headings=("value", "range", "SQNR dB", "cosine", "at an end %"),
        rows=cells,
        records=tuple(records),
        left=frozenset({0, 1}),
    )
