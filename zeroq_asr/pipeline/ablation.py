"""What each part of the synthesis earns: one part changed at a time, and what that does to ranges and error rates."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from eval.compare import compare
from eval.wer import score
from zeroq_asr.analyses.divergence import log_posteriors, measure_divergence
from zeroq_asr.artifact import IntegerModel
from zeroq_asr.calibrate.analytic import analytic_ranges
from zeroq_asr.calibrate.run import calibrate
from zeroq_asr.config import GENERATE_THREADS, SEED, GenerateConfig, QuantizeConfig
from zeroq_asr.passes.assign_qparams import assign_qparams
from zeroq_asr.passes.lower_to_integer import lower_to_integer
from zeroq_asr.passes.prepare import prepare
from zeroq_asr.pipeline.calibration import random_batches
from zeroq_asr.pipeline.evaluate import TestSet, split_into_blocks
from zeroq_asr.pipeline.quantize import Batch
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.ranges import RangeTable
from zeroq_asr.report.sheet import Sheet
from zeroq_asr.runtime.transcriber import (
    Features,
    Transcriber,
    features_of,
    float_transcriber,
    integer_transcriber,
    read_utterance,
)

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

OnStep = Callable[[str], None]
Row = dict[str, Any]

_PROBES = 24
"""Utterances on which the divergence is measured, spread over the test set."""
_FAR = 0.5
"""A clipping bound is called tighter or looser from a factor of sqrt(2) on."""


@dataclass(frozen=True)
class Variant:
    """One way to calibrate.

    data: "synthetic" with `changes` to the preset's settings, "random", "real", or "analytic": from parameters alone.
    """

    name: str
    data: str = "synthetic"
    changes: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class AblationPlan:
    """What is compared: `variants` of `generate`, each with every seed and every configuration of `configs`."""

    generate: GenerateConfig
    variants: tuple[Variant, ...]
    configs: tuple[QuantizeConfig, ...]
    seeds: tuple[int, ...]
    threads: int


def standard_variants(config: GenerateConfig) -> tuple[Variant, ...]:
    """Both ends (real speech, random noise), the settings themselves, and these with one part changed each."""
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
            "batch_size": max(1, size - size // 4),
        },
    }
    # (lengths of several kinds have about as many frames in all)
    changed = [Variant(name, "synthetic", changes) for name, changes in parts.items()]
    return (
        Variant("real speech", "real"),
        Variant(f"preset {config.preset}"),
        *(variant for variant in changed if replace(config, **variant.changes) != config),
        Variant("no synthesis: ranges from parameters alone", "analytic"),
        Variant("random, U[-3, 3]", "random"),
    )


class Ablation:
    """Measures the variants of a plan on one float model. real: the speech that ranges are compared with."""

    def __init__(self, model: FloatModel, plan: AblationPlan, real: TestSet, test_set: TestSet) -> None:
        from zeroq_asr.runtime.float_executor import FloatExecutor

        self._model, self._plan, self._set = model, plan, test_set
        self._real = [mel[None] for mel in self._features(real)]
        self._speech = self._features(test_set)
        self._reference = self._texts(float_transcriber(model, "float", 0, plan.threads))
        self._executor = FloatExecutor(prepare(model.graph))
        self._ranges = calibrate(self._executor, self._real, plan.configs[0], "real").ranges
        self._probe = self._speech[:: max(1, len(self._speech) // _PROBES)][:_PROBES]
        self._posteriors = [log_posteriors(self._executor, mel) for mel in self._probe]

    @property
    def float_wer(self) -> float:
        """Word error rate of the float model, in percent."""
        return score([u.text for u in self._set.utterances], self._reference, SEED).wer

    def count_steps(self) -> int:
        """How often `run` will tell of a step."""
        return sum(len(self._seeds(variant)) for variant in self._plan.variants)

    def run(self, on_step: OnStep) -> list[Row]:
        """One row for each variant. Raises what synthesis, calibration and lowering raise.

        loss: sum over the BatchNorms at the end; range_error: mean |log2(alpha / alpha on real speech)| over the stored
        values, alpha the largest magnitude that is kept; tighter, looser: values with that beyond 1/2; divergence: what
        rounding the stored values costs (`measure_divergence`), on a few utterances of the test set; for each
        configuration, e.g. "W8A8", difference: WER minus the float model's in points, and same: texts like its in
        percent. Means over the seeds.
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
        return self._plan.seeds[:1] if variant.data in ("real", "analytic") else self._plan.seeds

    def _measure(self, variant: Variant, seed: int) -> Row:
        config, loss = self._plan.configs[0], None
        if variant.data == "analytic":
            table = analytic_ranges(self._model.graph, self._executor.graph, config)
        else:
            batches, loss = self._data(variant, seed)
            table = calibrate(self._executor, batches, config, variant.data)
        codes = assign_qparams(self._executor.graph, table, config)
        divergence = measure_divergence(self._executor, codes, self._probe, self._posteriors)
        row: Row = {"loss": loss, **self._compare_ranges(table), "divergence": divergence}
        references = [utterance.text for utterance in self._set.utterances]
        for config in self._plan.configs:  # (weight bits do not change the codes)
            texts = self._texts(self._lowered(codes, config))
            pair = compare(references, self._reference, texts, SEED)
            bits = f"W{config.bits}A{config.act_bits}"
            row[f"{bits} difference"] = score(references, texts, SEED).wer - self.float_wer
            row[f"{bits} same"] = pair.identical
        return row

    def _lowered(self, codes: Mapping[str, QuantParams], config: QuantizeConfig) -> Transcriber:
        """The integer program, ready to transcribe."""
        folded, model = self._executor.graph, self._model
        graph = lower_to_integer(folded, codes, config)
        program = IntegerModel(graph, codes[folded.inputs[0]].scale, model.frontend, model.vocabulary, {})
        return integer_transcriber(program, "integer", 0, threads=self._plan.threads)

    def _data(self, variant: Variant, seed: int) -> tuple[list[Batch], float | None]:
        if variant.data == "real":
            return self._real, None
        if variant.data == "random":
            return list(random_batches(self._model.frontend.n_mels, seed)), None
        config = replace(self._plan.generate, **variant.changes, seed=seed)
        return make_batches(self._model, config)

    def _compare_ranges(self, table: RangeTable) -> Row:
        far = np.array([_bound(table, name) - np.log2(max(abs(r.lo), abs(r.hi))) for name, r in self._ranges.items()])
        return {
            "range_error": float(np.abs(far).mean()),
            "tighter": int((far < -_FAR).sum()),
            "looser": int((far > _FAR).sum()),
            "values": int(far.size),
        }

    def _features(self, test_set: TestSet) -> list[Features]:
        spec = self._model.frontend
        return [features_of(read_utterance(u, spec.sample_rate_hz), spec, u.audio_path) for u in test_set.utterances]

    def _texts(self, transcriber: Transcriber) -> list[str]:
        texts = [""] * len(self._speech)
        for block in split_into_blocks(self._set.utterances):
            found = transcriber.transcribe_features([self._speech[i] for i in block], [0.0] * len(block))
            for i, transcript in zip(block, found, strict=True):
                texts[i] = transcript.text
        return texts


def make_batches(model: FloatModel, config: GenerateConfig) -> tuple[list[npt.NDArray[np.float32]], float]:
    """The batches that `config` gives and their mean final loss over the BatchNorms (priors left out)."""
    from synth.optimize import run
    from zeroq_asr.pipeline.generate import batch_maker, synthesis_settings

    make = batch_maker(model, synthesis_settings(config, model), "cpu", GENERATE_THREADS)
    batches = [run(make(number)) for number in range(config.batches)]
    return [batch.mel for batch in batches], statistics.fmean(float(b.tap_losses_end.sum()) for b in batches)


def ablation_sheet(rows: Sequence[Row], model: str, float_wer: float, configs: Sequence[QuantizeConfig]) -> Sheet:
    """The rows as a table."""
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
        "KL: what rounding the stored values moves the float model's posteriors, in thousandths of a nat per frame.",
    )
    return Sheet(
        f"{model}: what synthesis earns", tuple(headings), tuple(cells), tuple(rows), frozenset({0}), notes=notes
    )


def _bound(table: RangeTable, name: str) -> float:
    found = table.ranges[name]
    return float(np.log2(max(abs(found.lo), abs(found.hi), 1e-30)))


def _mean(runs: Sequence[Row]) -> Row:
    return {
        name: None if runs[0][name] is None else statistics.fmean(float(row[name]) for row in runs) for name in runs[0]
    }
