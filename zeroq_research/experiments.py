"""One experiment: one float model, quantized in one way, scored on one test set. The result cache stores the scores."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from eval.cost import total_bops, total_macs
from zeroq_asr.analyses.cost import count_costs, count_products
from zeroq_asr.artifact import load_model, save_model
from zeroq_asr.config import (
    ANALYTIC,
    GENERATE_THREADS,
    RANDOM_BATCHES,
    RANDOM_FRAMES,
    RANDOM_SIZE,
    GenerateConfig,
    QuantizeConfig,
)
from zeroq_asr.models.open import float_transcriber, open_integer
from zeroq_asr.pipelines.evaluate import TestSet
from zeroq_asr.runtime.transcriber import Transcriber
from zeroq_research.feature_cache import FeatureCache
from zeroq_research.progress import OnStep, ignore_step
from zeroq_research.result_cache import (
    ARITHMETIC,
    SYNTHESIS,
    Json,
    ResultCache,
    data_digest,
    library_versions,
    source_digest,
)

if TYPE_CHECKING:
    from int_kernels import Program
    from synth import SyntheticData
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.ir.types import Graph
    from zeroq_asr.pipelines.quantize import Batch
    from zeroq_asr.quant.ranges import RangeTable


@dataclass(frozen=True)
class ExperimentConfig:
    """How a float model is quantized. config None: the float model itself, which has no calibration and no seed.

    calibration: "synthetic", "random", "real", "analytic", or "-" for the float model.
    """

    config: QuantizeConfig | None = None
    calibration: str = "-"
    seed: int = 0

    @property
    def name(self) -> str:
        """Return "float32" or e.g. "W6A8 synthetic, seed 2"."""
        return "float32" if self.config is None else f"{self.bits} {self.calibration}, seed {self.seed}"

    @property
    def bits(self) -> str:
        """Return "float32" or e.g. "W6A8"; with "W4A8 + mse" or "W4A8 + plain" where ranges or methods are unusual."""
        if self.config is None:
            return "float32"
        ranges = () if self.calibration == ANALYTIC else self.config.unusual_ranges
        bits = f"W{self.config.widths}A{self.config.act_bits}"
        return " + ".join((bits, *ranges, *self.config.unusual_methods))


@dataclass(frozen=True)
class ExperimentSettings:
    """What all experiments share.

    preset: of synthesis. real: the speech of real calibration. threads: of torch and of the kernels. device: of torch.
    """

    preset: str
    real: TestSet
    threads: int
    device: str


class ExperimentRunner:
    """Quantizes and scores one float model in several ways; only results that the cache lacks are computed.

    on_step: called after every computed score and every batch of synthetic data.
    """

    def __init__(
        self,
        cache: ResultCache,
        model: FloatModel,
        settings: ExperimentSettings,
        features: FeatureCache | None = None,
        on_step: OnStep = ignore_step,
    ) -> None:
        self.cache, self.model, self.settings = cache, model, settings
        self.features, self.on_step = features or FeatureCache(), on_step
        self._opened: tuple[ExperimentConfig, Transcriber, Json] | None = None
        self._ranges: tuple[ExperimentConfig, RangeTable] | None = None  # of the last calibration: other bits follow

    def count_steps(self, experiments: Sequence[ExperimentConfig], sets: Sequence[TestSet]) -> int:
        """Return how often `score` will call `on_step`: missing scores, and batches of missing synthetic data."""
        missing = {e: [s for s in sets if not self._is_scored(e, s)] for e in experiments}
        return sum(map(len, missing.values())) + self.count_synthesis([e for e, found in missing.items() if found])

    def count_synthesis(self, experiments: Iterable[ExperimentConfig]) -> int:
        """Return the number of batches of synthetic data that these experiments need and that do not exist yet."""
        seeds = {experiment.seed for experiment in experiments if experiment.calibration == "synthetic"}
        return sum(self._config(s).batches for s in seeds if not self.cache.is_valid(self._synthetic_path(s)))

    def score(self, experiment: ExperimentConfig, test_set: TestSet) -> Json:
        """Return the result of this experiment on this set. Raises ZeroqError, EvalError.

        Keys: those of `score_texts`; size_bytes of the file; macs, bops and product_bops of `_costs`; program: the
        SHA-256 of the quantized file, None for the float model.
        """
        inputs = self.inputs(experiment, test_set)
        if self._is_scored(experiment, test_set):
            found = self.cache.find("score", inputs)
            if found is not None:
                return found
        result = self.cache.get("score", inputs, lambda: self._compute(experiment, test_set))
        self.on_step(f"{self.model.name} {experiment.name}, {test_set.name}: WER {result['wer']:.2f} %")
        return result

    def _is_scored(self, experiment: ExperimentConfig, test_set: TestSet) -> bool:
        return self.cache.is_valid(self.cache.path("score", self.inputs(experiment, test_set)))

    # ---- what a result depends on ---------------------------------------------------------------------------------

    def inputs(self, experiment: ExperimentConfig, test_set: TestSet) -> Json:
        """Return everything that the results of this experiment on this set depend on, as plain JSON values."""
        return {
            "model": self.model.fingerprint,
            "name": self.model.name,  # stored in the quantized file, so the file's size depends on it
            "quantize": None if experiment.config is None else vars(experiment.config),
            "calibration": self._calibration_inputs(experiment),
            "set": data_digest(test_set.utterances),
            "threads": self.settings.threads,
            "device": self.settings.device,
            "code": source_digest(ARITHMETIC),
            "libraries": library_versions(),
        }

    def _calibration_inputs(self, experiment: ExperimentConfig) -> Json | None:
        if experiment.config is None:
            return None
        if experiment.calibration == "synthetic":
            return {"synthetic": self._synthesis_inputs(experiment.seed)}
        if experiment.calibration == "random":
            return {"random": [experiment.seed, RANDOM_BATCHES, RANDOM_SIZE, RANDOM_FRAMES]}
        if experiment.calibration == ANALYTIC:
            return {ANALYTIC: True}
        return {"real": data_digest(self.settings.real.utterances)}

    def _synthesis_inputs(self, seed: int) -> Json:
        from zeroq_asr.pipelines.generate import synthesis_settings

        settings = synthesis_settings(self._config(seed), self.model)
        return {
            "model": self.model.fingerprint,
            "settings": settings.to_json(),
            "threads": GENERATE_THREADS,
            "device": self.settings.device,
            "code": source_digest(SYNTHESIS),
            "torch": library_versions()["torch"],
        }

    def _config(self, seed: int) -> GenerateConfig:
        return replace(GenerateConfig.of_preset(self.settings.preset), seed=seed)

    def _synthetic_path(self, seed: int) -> Path:
        return self.cache.path("synthetic", self._synthesis_inputs(seed), "safetensors")

    # ---- computing a result ---------------------------------------------------------------------------------------

    def _compute(self, experiment: ExperimentConfig, test_set: TestSet) -> Json:
        transcriber, facts = self._open(experiment)
        return {**score_texts(test_set, self.features.transcribe(transcriber, test_set)), **facts}

    def _open(self, experiment: ExperimentConfig) -> tuple[Transcriber, Json]:
        """Return the experiment's model; the last one is kept, because it usually runs on the next set too."""
        if self._opened is None or self._opened[0] != experiment:
            self._opened = None
            transcriber, facts = self._open_float() if experiment.config is None else self._open_integer(experiment)
            self._opened = (experiment, transcriber, facts)
        return self._opened[1:]

    def _open_float(self) -> tuple[Transcriber, Json]:
        graph = self.model.graph
        size = sum(array.nbytes for array in graph.constants.values())
        facts = {"size_bytes": size, "program": None, **_costs(graph)}
        return float_transcriber(self.model, self.model.name, size, self.settings.threads), facts

    def _open_integer(self, experiment: ExperimentConfig) -> tuple[Transcriber, Json]:
        """Write the quantized file and read it back, so that what is scored is what a user would load."""
        from synth.device import use_device
        from zeroq_asr.pipelines.quantize import quantize_model

        assert experiment.config is not None
        batches, provenance = self.calibration_data(experiment)
        use_device(self.settings.device, self.settings.threads)  # synthesis may have set other numbers
        # ranges do not depend on the bits of weights: experiments that differ in nothing else share them
        calibrated = replace(experiment, config=replace(experiment.config, bits=8, layer_bits=()))
        ranges = self._ranges[1] if self._ranges is not None and self._ranges[0] == calibrated else None
        quantized = quantize_model(
            self.model, batches, experiment.calibration, experiment.config, provenance, self.settings.device, ranges
        )
        self._ranges = (calibrated, quantized.table)
        with TemporaryDirectory(prefix="zeroq-experiment-") as folder:
            path = Path(folder) / "program.safetensors"
            save_model(quantized.model, path)
            data = path.read_bytes()
            transcriber = open_integer(path, threads=self.settings.threads)
            program = load_model(path).program
        return transcriber, {"size_bytes": len(data), "program": hashlib.sha256(data).hexdigest(), **_costs(program)}

    def calibration_data(self, experiment: ExperimentConfig) -> tuple[Iterable[Batch], Json]:
        """Return the batches, float32 [B, n_mels, T] each, and the provenance that `quantize` writes into the file."""
        from zeroq_asr.pipelines.calibration import random_batches

        if experiment.calibration == "synthetic":
            data = self.synthetic_data(experiment.seed)
            return [batch.mel for batch in data.batches], {"synthesis": data.settings.to_json()}
        if experiment.calibration == ANALYTIC:
            return (), {}
        if experiment.calibration == "random":
            return random_batches(self.model.frontend.n_mels, experiment.seed), {"seed": experiment.seed}
        return (mel[None] for mel in self.features.stream(self.settings.real, self.model.frontend)), {}

    def synthetic_data(self, seed: int) -> SyntheticData:
        """Return the synthetic data of this model and seed, generated once. A killed run resumes after its batches."""
        from zeroq_asr.pipelines.generate import generate

        path, config = self._synthetic_path(seed), self._config(seed)
        exists = self.cache.is_valid(path)
        resume = exists or not self.cache.fresh
        note = f"{self.model.name}: synthetic data, seed {seed}"

        def report(record: Any) -> None:
            if record.last:
                self.on_step(note)

        made = generate(self.model, config, path, resume=resume, device=self.settings.device, on_record=report)
        self.cache.mark_written(path)
        if not exists:
            for _ in range(made.batches_found):
                self.on_step(note)
        return made.data


def _costs(model: Graph | Program) -> Json:
    """Return the operations for 10 s of audio.

    macs and bops: multiply-accumulates and bit operations of convolutions and linear layers, as the paper counts them.
    product_bops: bit operations of the products inside attention, which the paper does not count.
    """
    costs, products = count_costs(model).values(), count_products(model).values()
    return {"macs": total_macs(costs), "bops": total_bops(costs), "product_bops": total_bops(products)}


def score_texts(test_set: TestSet, texts: Sequence[str]) -> Json:
    """Return normalised texts and error rates of a set as plain JSON values. Raises EvalError.

    references, hypotheses: texts in the order of the set. wer, wer_low, wer_high, cer: percent over the whole set.
    The rest are counts: utterances, words, hypothesis_words, substitutions, deletions, insertions.
    """
    from eval.text import normalise
    from eval.wer import score

    references = [normalise(utterance.text) for utterance in test_set.utterances]
    hypotheses = [normalise(text) for text in texts]
    scores = score(references, hypotheses)
    return {
        "references": references,
        "hypotheses": hypotheses,
        "utterances": scores.utterances,
        "words": scores.words,
        "hypothesis_words": sum(len(text.split()) for text in hypotheses),
        "wer": scores.wer,
        "wer_low": scores.wer_low,
        "wer_high": scores.wer_high,
        "cer": scores.cer,
        "substitutions": scores.substitutions,
        "deletions": scores.deletions,
        "insertions": scores.insertions,
    }
