"""Figure 3 of the paper: what a model reads in real, random and synthetic spectrograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from zeroq_research.progress import OnStep
from zeroq_research.report.page import ReportSection, paragraph, picture
from zeroq_research.report.table import ReportTable
from zeroq_research.reproduction.config import ReproductionConfig
from zeroq_research.result_cache import ResultCache, source_digest

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

Mel = npt.NDArray[np.float32]
Texts = list[tuple[str, str | None]]
_GRAMMAR_SOURCES = (
    "zeroq_recipes/voice_commands/grammar.py",
    "zeroq_recipes/voice_commands/lexicon.py",
    "zeroq_recipes/voice_commands/language_model.py",
)
"""The sources that decide the 3-gram model of the corpus."""


def figure3(config: ReproductionConfig, on_step: OnStep) -> ReportSection:
    """Return a real, a random and a synthetic spectrogram with the texts that the first float model reads in them."""
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.report.mel_figure import Panel, draw_panels, to_png

    model = load_float_model(config.spec.models[0])
    titles, mels = _spectrograms(config, model, on_step)
    texts = read_texts(model, mels, config.arpa, config.spec.settings.threads)
    panels = [
        Panel(title, mel, greedy, () if beam is None else (f"with the 3-gram model: “{beam}”",))
        for title, mel, (greedy, beam) in zip(titles, mels, texts, strict=True)
    ]
    hop_ms = model.frontend.hop_ms
    combined = to_png(draw_panels(panels, hop_ms))
    body = paragraph(f"What {model.name} reads in each (float model).")
    for panel in panels:
        alone = to_png(draw_panels([Panel(panel.title, panel.mel)], hop_ms))
        body += picture(alone, [f"greedy: “{panel.text}”", *panel.more], f"mel spectrogram, {panel.title}")
    if config.arpa is None:
        body += paragraph("Without a language model: none was given, or flashlight-text is not installed.", note=True)
    table = _texts_table(titles, texts, model.name)
    heading = "Figure 3: what a model reads in its synthetic data"
    return ReportSection(heading, body, {"figure3": table}, {"figure3.png": combined})


def _spectrograms(
    config: ReproductionConfig, model: FloatModel, on_step: OnStep
) -> tuple[tuple[str, ...], tuple[Mel, ...]]:
    """Return titles and features, float32 [n_mels, T] each: real speech, random noise and synthetic data."""
    from synth import SpectrogramSpec, random_baseline
    from zeroq_research.experiments import ExperimentRunner

    runner = ExperimentRunner(config.cache, model, config.spec.settings, on_step=on_step)
    seed, utterance = config.spec.seeds[0], config.sets[0].utterances[0]
    real = runner.features.block(config.sets[0], -1, [0], model.frontend)[0]
    synthetic = runner.synthetic_data(seed).batches[0].mel
    random = random_baseline(SpectrogramSpec(1, model.frontend.n_mels, synthetic.shape[2]), seed)[0]
    titles = (f"real speech: “{utterance.text}”", "random, uniform in [-3, 3]", "synthetic")
    return titles, (real, random, synthetic[0])


def read_texts(model: FloatModel, mels: Sequence[Mel], arpa: Path | None, threads: int) -> Texts:
    """Return the greedy text and the text of the beam search with the language model for every spectrogram.

    mels: float32 [n_mels, T] each. arpa: the file of the language model; without it the second text is None.
    Raises DecodeError.
    """
    from eval.beam import BeamDecoder
    from eval.ctc import decode
    from synth.device import use_device
    from zeroq_asr.runtime.float_executor import FloatExecutor

    use_device("cpu", threads)
    executor, (output,) = FloatExecutor(model.graph), model.graph.outputs
    beam = BeamDecoder(model.vocabulary, arpa) if arpa is not None else None
    texts: Texts = []
    for mel in mels:
        logits = executor.run(mel[None])[output][0].detach().cpu().numpy()
        greedy = decode(logits.argmax(axis=0).astype(np.int32), model.vocabulary)
        texts.append((greedy, None if beam is None else beam.decode(logits)))
    return texts


def _texts_table(titles: Sequence[str], texts: Texts, model: str) -> ReportTable:
    rows = tuple((title, greedy, beam or "") for title, (greedy, beam) in zip(titles, texts, strict=True))
    names = ("spectrogram", "greedy", "language_model")
    return ReportTable(
        title=f"What {model} reads",
        headings=("spectrogram", "greedy", "with the 3-gram model"),
        rows=rows,
        records=tuple(dict(zip(names, row, strict=True)) for row in rows),
        left=frozenset({0, 1, 2}),
    )


def corpus_language_model(cache: ResultCache, report: Callable[[str], None]) -> Path:
    """Return the ARPA file of the corpus's 3-gram model, built once. Raises FileError."""
    from zeroq_asr.files import write_atomically
    from zeroq_recipes.voice_commands.language_model import SENTENCES, corpus_model

    path = cache.path("corpus-3gram", {"sentences": SENTENCES, "code": source_digest(_GRAMMAR_SOURCES)}, "arpa")
    if not cache.is_valid(path):
        report("building the 3-gram model")
        write_atomically(path, corpus_model().to_arpa().encode())
        cache.mark_written(path)
    return path
