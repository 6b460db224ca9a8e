"""One program on one test set, as a cell: what it wrote, how many errors that is, its size and its bit operations."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np

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
from zeroq_research.feature_cache import FeatureShelf
from zeroq_research.result_cache import (
    ARITHMETIC,
    SYNTHESIS,
    CellStore,
    Json,
    code_digest,
    data_digest,
    library_versions,
)

if TYPE_CHECKING:
    from int_kernels import Program as IntegerProgram
    from synth import SyntheticData
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.ir.types import Graph
    from zeroq_asr.pipelines.quantize import Batch
    from zeroq_asr.quant.ranges import RangeTable

OnStep = Callable[[str], None]


@dataclass(frozen=True)
class Program:
    """What is made of a float model. config None: the float model itself, which has neither calibration nor seed."""

    config: QuantizeConfig | None = None
    calibration: str = "-"
    seed: int = 0

    @property
    def name(self) -> str:
        """ "float32" or "W6A8 synthetic, seed 2"."""
        return "float32" if self.config is None else f"{self.bits} {self.calibration}, seed {self.seed}"

    @property
    def bits(self) -> str:
        """ "float32" or "W6A8"; where ranges or methods are not the default, "W4A8 + mse" or "W4A8 + plain"."""
        if self.config is None:
            return "float32"
        ranges = () if self.calibration == ANALYTIC else self.config.unusual_ranges
        bits = f"W{self.config.widths}A{self.config.act_bits}"
        return " + ".join((bits, *ranges, *self.config.unusual_methods))


@dataclass(frozen=True)
class BenchSettings:
    """How programs are made. real: the speech that real calibration uses; threads: torch's and the kernels'."""

    preset: str
    real: TestSet
    threads: int
    device: str


class Bench:
    """Makes and scores the programs of one float model, cell by cell."""

    def __init__(self, store: CellStore, model: FloatModel, settings: BenchSettings, shelf: FeatureShelf) -> None:
        self._store, self._model, self._settings, self._shelf = store, model, settings, shelf
        self._open: tuple[Program, Transcriber, Json] | None = None
        self._ranges: tuple[Program, RangeTable] | None = None  # of the last calibration: other bits come next

    def count_steps(self, programs: Sequence[Program], sets: Sequence[TestSet]) -> int:
        """How many steps `score` will tell of: missing cells, and batches of missing synthetic data."""
        missing = {p: [s for s in sets if not self._has(p, s)] for p in programs}
        return sum(map(len, missing.values())) + self.count_synthesis([p for p, found in missing.items() if found])

    def count_synthesis(self, programs: Iterable[Program]) -> int:
        """Batches of synthetic data that these programs need and nobody has made."""
        seeds = {program.seed for program in programs if program.calibration == "synthetic"}
        return sum(self._config(s).batches for s in seeds if not self._store.believes(self._synthetic_path(s)))

    def score(self, program: Program, test_set: TestSet, on_step: OnStep) -> Json:
        """The cell of this program on this set; `on_step` hears of every finished step. Raises ZeroqError, EvalError.

        Keys: references, hypotheses (normalised texts); utterances, words, hypothesis_words; wer, cer (percent);
        size_bytes, macs, bops, product_bops; program: SHA-256 of the program's file, None for the float model.
        """
        if self._has(program, test_set):
            found = self._store.find("score", self.inputs(program, test_set))
            if found is not None:
                return found
        result = self._store.get(
            "score", self.inputs(program, test_set), lambda: self._compute(program, test_set, on_step)
        )
        on_step(f"{self._model.name} {program.name}, {test_set.name}: WER {result['wer']:.2f} %")
        return result

    def _has(self, program: Program, test_set: TestSet) -> bool:
        return self._store.believes(self._store.path("score", self.inputs(program, test_set)))

    # ---- what a cell depends on -----------------------------------------------------------------------------------

    def inputs(self, program: Program, test_set: TestSet) -> Json:
        """All that the results of this program on this set depend on."""
        return {
            "model": self._model.fingerprint,
            "name": self._model.name,  # a program's file remembers it, so that its size depends on it
            "quantize": None if program.config is None else vars(program.config),
            "calibration": self._calibration(program),
            "set": data_digest(test_set.utterances),
            "threads": self._settings.threads,
            "device": self._settings.device,
            "code": code_digest(ARITHMETIC),
            "libraries": library_versions(),
        }

    def _calibration(self, program: Program) -> Json | None:
        if program.config is None:
            return None
        if program.calibration == "synthetic":
            return {"synthetic": self._synthesis(program.seed)}
        if program.calibration == "random":
            return {"random": [program.seed, RANDOM_BATCHES, RANDOM_SIZE, RANDOM_FRAMES]}
        if program.calibration == ANALYTIC:
            return {ANALYTIC: True}
        return {"real": data_digest(self._settings.real.utterances)}

    def _synthesis(self, seed: int) -> Json:
        from zeroq_asr.pipelines.generate import synthesis_settings

        settings = synthesis_settings(self._config(seed), self._model)
        return {
            "model": self._model.fingerprint,
            "settings": settings.to_json(),
            "threads": GENERATE_THREADS,
            "device": self._settings.device,
            "code": code_digest(SYNTHESIS),
            "torch": library_versions()["torch"],
        }

    def _config(self, seed: int) -> GenerateConfig:
        return replace(GenerateConfig.of_preset(self._settings.preset), seed=seed)

    def _synthetic_path(self, seed: int) -> Path:
        return self._store.path("synthetic", self._synthesis(seed), "safetensors")

    # ---- the work -------------------------------------------------------------------------------------------------

    def _compute(self, program: Program, test_set: TestSet, on_step: OnStep) -> Json:
        transcriber, facts = self._opened(program, on_step)
        return {**score_texts(test_set, self._shelf.transcribe(transcriber, test_set)), **facts}

    def _opened(self, program: Program, on_step: OnStep) -> tuple[Transcriber, Json]:
        """The program, ready; the last one is kept, because its next test set comes next."""
        if self._open is None or self._open[0] != program:
            self._open = None
            transcriber, facts = self._float() if program.config is None else self._integer(program, on_step)
            self._open = (program, transcriber, facts)
        return self._open[1:]

    def _float(self) -> tuple[Transcriber, Json]:
        graph = self._model.graph
        size = sum(array.nbytes for array in graph.constants.values())
        facts = {"size_bytes": size, "program": None, **_costs(graph)}
        return float_transcriber(self._model, self._model.name, size, self._settings.threads), facts

    def _integer(self, program: Program, on_step: OnStep) -> tuple[Transcriber, Json]:
        """Written and read back: what is scored is what a user would load."""
        from synth.device import use_device
        from zeroq_asr.pipelines.quantize import quantize_model

        assert program.config is not None
        batches, provenance = self.calibration_data(program, on_step)
        use_device(self._settings.device, self._settings.threads)  # synthesis may have set other numbers
        measured = replace(program, config=replace(program.config, bits=8, layer_bits=()))
        ranges = self._ranges[1] if self._ranges is not None and self._ranges[0] == measured else None
        made = quantize_model(
            self._model, batches, program.calibration, program.config, provenance, self._settings.device, ranges
        )
        self._ranges = (measured, made.table)
        with TemporaryDirectory(prefix="zeroq-cell-") as folder:
            path = Path(folder) / "program.safetensors"
            save_model(made.model, path)
            data = path.read_bytes()
            transcriber = open_integer(path, threads=self._settings.threads)
            program_of = load_model(path).program
        return transcriber, {"size_bytes": len(data), "program": hashlib.sha256(data).hexdigest(), **_costs(program_of)}

    def calibration_data(self, program: Program, on_step: OnStep) -> tuple[Iterable[Batch], Json]:
        """The calibration data, and what the program's file remembers of it (as `quantize` writes it)."""
        from zeroq_asr.pipelines.calibration import random_batches

        if program.calibration == "synthetic":
            data = self.synthetic(program.seed, on_step)
            return [batch.mel for batch in data.batches], {"synthesis": data.settings.to_json()}
        if program.calibration == ANALYTIC:
            return (), {}
        if program.calibration == "random":
            return random_batches(self._model.frontend.n_mels, program.seed), {"seed": program.seed}
        return (mel[None] for mel in self._shelf.stream(self._settings.real, self._model.frontend)), {}

    def synthetic(self, seed: int, on_step: OnStep) -> SyntheticData:
        """The synthetic data of this model and seed: made once, batch by batch, resumed where a run was killed."""
        from zeroq_asr.pipelines.generate import generate

        path, config = self._synthetic_path(seed), self._config(seed)
        there = self._store.believes(path)
        resume = there or not self._store.fresh

        def tell(record: Any) -> None:
            if record.last:
                on_step(f"{self._model.name}: synthetic data, seed {seed}")

        made = generate(self._model, config, path, resume=resume, device=self._settings.device, on_record=tell)
        self._store.made(path)
        if not there:
            for _ in range(made.batches_found):
                on_step(f"{self._model.name}: synthetic data, seed {seed}")
        return made.data


def _costs(model: Graph | IntegerProgram) -> Json:
    """For 10 s. macs, bops: as the paper counts them; product_bops: what it leaves out, the products of attention."""
    costs, products = count_costs(model).values(), count_products(model).values()
    return {"macs": total_macs(costs), "bops": total_bops(costs), "product_bops": total_bops(products)}


def score_texts(test_set: TestSet, texts: Sequence[str]) -> Json:
    """Return what a cell remembers of the texts of a set; percent over the corpus. Raises EvalError."""
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
        "hypothesis_words": int(np.sum([len(text.split()) for text in hypotheses])),
        "wer": scores.wer,
        "wer_low": scores.wer_low,
        "wer_high": scores.wer_high,
        "cer": scores.cer,
        "substitutions": scores.substitutions,
        "deletions": scores.deletions,
        "insertions": scores.insertions,
    }
