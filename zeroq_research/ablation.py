"""An ablation of the calibration: one part is changed at a time; ranges and error rates are compared."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.compare import compare
from eval.wer import score
from zeroq_asr.analyses.divergence import measure_divergence
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import (
    ABLATION_PERCENTILES,
    ANALYTIC,
    DETERMINISTIC,
    GENERATE_THREADS,
    RANGE_METHODS,
    SEED,
    GenerateConfig,
    QuantizeConfig,
)
from zeroq_asr.ir.types import Graph
from zeroq_asr.models.open import float_transcriber, integer_transcriber
from zeroq_asr.pipelines.calibration import random_batches
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_asr.pipelines.quantize import Batch, Quantized, quantize_model
from zeroq_asr.quant.ranges import RangeTable
from zeroq_research.feature_cache import FeatureCache
from zeroq_research.progress import OnStep
from zeroq_research.report.table import ReportTable

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

Row = dict[str, Any]

_PROBES = 24
"""Utterances on which the divergence is measured, evenly spread over the test set."""
_FAR_LOG2 = 0.5
"""|log2| of a ratio of ranges from which it counts as tighter or looser: a factor of sqrt(2)."""


@dataclass(frozen=True)
class Variant:
    """One way to calibrate.

    data: "synthetic", "random", "real", or "analytic" (ranges from the parameters alone). changes: to the synthesis
    settings of the preset, by field of `GenerateConfig`. ranges: to the configurations, by field of `QuantizeConfig`.
    """

    name: str
    data: str = "synthetic"
    changes: Mapping[str, Any] = field(default_factory=dict)
    ranges: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AblationPlan:
    """What is compared: each of `variants` of the settings `generate`, with every seed and every configuration.

    configs: may differ in the bits of weights only. threads: of the integer and of the float model.
    """

    generate: GenerateConfig
    variants: tuple[Variant, ...]
    configs: tuple[QuantizeConfig, ...]
    seeds: tuple[int, ...]
    threads: int


def standard_variants(config: GenerateConfig, usual: QuantizeConfig | None = None) -> tuple[Variant, ...]:
    """Return the variants that `ablate` compares.

    These are real speech and random noise as the two extremes, the preset itself, and the preset with one change each:
    to the synthesis `config`, or to the way in which `usual` (default: `QuantizeConfig()`) measures ranges.
    """
    frames, size = config.frames, config.batch_size
    parts: dict[str, dict[str, Any]] = {
        "no optimisation": {"iterations": (0,)},
        "four times the steps": {"iterations": tuple(4 * steps for steps in config.iterations)},
        "four times fewer batches": {"batches": max(1, config.batches // 4)},
        "inputs not normalised": {"normalize": False},
        "smooth start": {"init": "smooth"},
        "uniform start": {"init": "uniform"},
        "gaussian start": {"init": "gaussian"},
        "loss of the paper (one-sided KL)": {"loss": "kl"},
        "loss W2": {"loss": "w2"},
        "start, loss and inputs as in the paper": {"init": "uniform", "loss": "kl", "normalize": False},
        "+ smoothness 0.3": {"smoothness": 0.3},
        "+ diversity of frames behind attention 1": {"diversity": 1.0},
        f"+ lengths {frames // 2}, {frames}, {2 * frames}": {
            "lengths": (frames // 2, frames, 2 * frames),
            "batch_size": max(1, size - size // 4),  # about as many frames in all
        },
    }
    changed = [Variant(name, "synthetic", changes) for name, changes in parts.items()]
    return (
        Variant("real speech", "real"),
        Variant(f"preset {config.preset}"),
        *_range_variants(usual or QuantizeConfig()),
        *(variant for variant in changed if replace(config, **variant.changes) != config),
        Variant("no data: ranges and means from parameters", ANALYTIC),
        Variant("random, U[-3, 3]", "random"),
    )


def _range_variants(usual: QuantizeConfig) -> Iterator[Variant]:
    for method in RANGE_METHODS:
        for percentile in ABLATION_PERCENTILES if method == "percentile" else (usual.percentile,):
            ranges = {"range_method": method, "percentile": percentile}
            if replace(usual, **ranges) != usual:  # type: ignore[arg-type]
                suffix = f" {percentile:g}" if method == "percentile" else ""
                yield Variant(f"ranges: {method}{suffix}", ranges=ranges)


class Ablation:
    """Measures the variants of a plan on one float model.

    real: the speech that ranges are compared with. test_set: what error rates are measured on. The constructor runs the
    float model on the test set. Raises FileError.
    """

    def __init__(self, model: FloatModel, plan: AblationPlan, real: TestSet, test_set: TestSet) -> None:
        self._model, self._plan, self._real, self._set = model, plan, real, test_set
        self._features = FeatureCache()
        self._references = [utterance.text for utterance in test_set.utterances]
        self._float = self._features.transcribe(float_transcriber(model, "float", 0, plan.threads), test_set)
        mels = self._features.stream(test_set, model.frontend)
        self._probes = list(islice(mels, 0, None, max(1, len(self._references) // _PROBES)))[:_PROBES]
        self._speech: tuple[Mapping[str, Any], RangeTable] | None = None  # of the last way to measure ranges
        self._preset_data: dict[GenerateConfig, tuple[list[Batch], float]] = {}  # of the unchanged preset, by seed

    @property
    def float_wer(self) -> float:
        """Return the word error rate of the float model in percent."""
        return score(self._references, self._float, SEED).wer

    def count_steps(self) -> int:
        """Return how often `run` will call `on_step`."""
        return sum(len(self._seeds(variant)) for variant in self._plan.variants)

    def run(self, on_step: OnStep) -> list[Row]:
        """Return one row for each variant, means over the seeds. Raises what synthesis and `quantize_model` raise.

        loss: final loss of synthesis, summed over the BatchNorms; None without synthesis. range_error: mean over the
        stored values of |log2(alpha / alpha on real speech)|, alpha the largest magnitude that is not clipped. tighter,
        looser: stored values for which log2 of this ratio is below -1/2 or above 1/2. divergence: of the posteriors
        where only the stored values are rounded (`measure_divergence`), on a few utterances of the test set, in nats
        per frame. For each configuration, e.g. "W8A8": "W8A8 difference", its WER minus the float model's in points,
        and "W8A8 same", the percentage of texts equal to the float model's.
        """
        rows = []
        for variant in self._plan.variants:
            runs = []
            for seed in self._seeds(variant):
                runs.append(self._measure(variant, seed))
                on_step(f"{variant.name}, seed {seed}")
            rows.append({"variant": variant.name, "seeds": len(runs), **_mean(runs)})
        return rows

    def _seeds(self, variant: Variant) -> tuple[int, ...]:
        return self._plan.seeds[:1] if variant.data in DETERMINISTIC else self._plan.seeds

    def _measure(self, variant: Variant, seed: int) -> Row:
        from zeroq_asr.runtime.float_executor import FloatExecutor

        models, loss = self._quantize(variant, seed)
        divergence = measure_divergence(FloatExecutor(models[0].graph), models[0].qparams, self._probes)
        distances = _compare_ranges(models[0].table, self._real_ranges(variant, models[0].graph))
        row: Row = {"loss": loss, **distances, "divergence": divergence}
        for config, quantized in zip(self._plan.configs, models, strict=True):
            transcriber = integer_transcriber(quantized.model, "integer", 0, threads=self._plan.threads)
            texts = self._features.transcribe(transcriber, self._set)
            pair = compare(self._references, self._float, texts, SEED)
            bits = f"W{config.bits}A{config.act_bits}"
            row[f"{bits} difference"] = score(self._references, texts, SEED).wer - self.float_wer
            row[f"{bits} same"] = pair.identical
        return row

    def _quantize(self, variant: Variant, seed: int) -> tuple[list[Quantized], float | None]:
        """Return an integer model for each configuration, as `quantize` makes it, and the loss of synthesis or None."""
        batches, loss = self._data(variant, seed)
        models: list[Quantized] = []
        for usual in self._plan.configs:  # they differ in the bits of weights only, so all share the ranges
            config, ranges = replace(usual, **variant.ranges), models[0].table if models else None
            models.append(quantize_model(self._model, batches(), variant.data, config, ranges=ranges))
        return models, loss

    def _data(self, variant: Variant, seed: int) -> tuple[Callable[[], Iterable[Batch]], float | None]:
        if variant.data == ANALYTIC:
            return tuple, None
        if variant.data == "real":
            return lambda: (mel[None] for mel in self._features.stream(self._real, self._model.frontend)), None
        if variant.data == "random":
            return lambda: random_batches(self._model.frontend.n_mels, seed), None
        config = replace(self._plan.generate, **variant.changes, seed=seed)
        made, loss = self._synthetic(config, keep=not variant.changes)
        return lambda: made, loss

    def _synthetic(self, config: GenerateConfig, keep: bool) -> tuple[list[Batch], float]:
        if config in self._preset_data:
            return self._preset_data[config]
        made = make_batches(self._model, config)
        if keep:
            self._preset_data[config] = made
        return made

    def _real_ranges(self, variant: Variant, graph: Graph) -> RangeTable:
        """Return the ranges of real speech in `graph`, measured in the way of `variant`."""
        from zeroq_asr.runtime.float_executor import FloatExecutor

        config = replace(self._plan.configs[0], **variant.ranges)
        depends_on_data = "equalization" in config.methods  # then every variant has a graph of its own
        if depends_on_data or self._speech is None or self._speech[0] != variant.ranges:
            batches, _ = self._data(Variant("", "real"), 0)
            self._speech = (variant.ranges, calibrate(FloatExecutor(graph), batches(), config, "real"))
        return self._speech[1]


def make_batches(model: FloatModel, config: GenerateConfig) -> tuple[list[Batch], float]:
    """Return the batches, float32 [B, n_mels, T] each, that `config` gives, and their mean final loss.

    The loss is the sum over the BatchNorms, without the priors. Raises what synthesis raises.
    """
    from synth.optimize import run
    from zeroq_asr.pipelines.generate import batch_maker, synthesis_settings

    make = batch_maker(model, synthesis_settings(config, model), "cpu", GENERATE_THREADS)
    batches = [run(make(number)) for number in range(config.batches)]
    return [batch.mel for batch in batches], statistics.fmean(float(b.batchnorm_losses_end.sum()) for b in batches)


def ablation_table(rows: Sequence[Row], model: str, float_wer: float, configs: Sequence[QuantizeConfig]) -> ReportTable:
    """Return the rows of `Ablation.run` as a table; float_wer: in percent."""
    bits = [f"W{config.bits}A{config.act_bits}" for config in configs]
    headings = ["calibration data", "seeds", "loss", "range error", "tighter", "looser", "KL"]
    headings += [f"{name} {column}" for name in bits for column in ("WER", "same text %")]
    cells = [
        (
            row["variant"],
            str(row["seeds"]),
            "" if row["loss"] is None else f"{row['loss']:.3g}",
            f"{row['range_error']:.3f}",
            f"{row['tighter']:.1f}",
            f"{row['looser']:.1f}",
            f"{1000 * row['divergence']:.2f}",
            *(c for n in bits for c in (f"{row[f'{n} difference']:+.2f}", f"{row[f'{n} same']:.1f}")),
        )
        for row in rows
    ]
    notes = (
        f"WER: points above the float model's {float_wer:.2f} %.",
        "Range error: mean |log2| of the ratio to the range on real speech, over "
        f"{rows[0]['values']:.0f} stored values; tighter, looser: by more than a factor of sqrt(2).",
        "KL: divergence of the float model's posteriors that rounding the stored values causes, in thousandths of a "
        "nat per frame.",
    )
    return ReportTable(
        f"{model}: effect of each part", tuple(headings), tuple(cells), tuple(rows), frozenset({0}), notes=notes
    )


def _compare_ranges(table: RangeTable, real: RangeTable) -> Row:
    distances = np.array([_log2_bound(table, name) - _log2_bound(real, name) for name in real.ranges])
    return {
        "range_error": float(np.abs(distances).mean()),
        "tighter": int((distances < -_FAR_LOG2).sum()),
        "looser": int((distances > _FAR_LOG2).sum()),
        "values": int(distances.size),
    }


def _log2_bound(table: RangeTable, name: str) -> float:
    found = table.ranges[name]
    return float(np.log2(max(abs(found.lo), abs(found.hi), 1e-30)))


def _mean(runs: Sequence[Row]) -> Row:
    return {
        name: None if runs[0][name] is None else statistics.fmean(float(row[name]) for row in runs) for name in runs[0]
    }
