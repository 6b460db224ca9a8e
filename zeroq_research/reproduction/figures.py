"""The paper's figures: latency against size, and what a model reads in real, random and synthetic spectrograms."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroq_research.report.page import paragraph, picture, plots
from zeroq_research.report.plots import Axis, Point, Series, plot
from zeroq_research.report.table import Sheet
from zeroq_research.result_cache import CellStore, Json, code_digest

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_research.reproduction.sections import OnStep, Part, Study

Mel = npt.NDArray[np.float32]
SIZES = ("quartznet5x5", "quartznet10x5", "quartznet15x5")
_MEASURED = (
    "eval/latency.py",
    "int_kernels",
    "zeroq_asr/frontend",
    "zeroq_asr/runtime",
    "zeroq_research/benchmark",
    "zeroq_research/engines",
)
_GRAMMAR = (
    "zeroq_recipes/voice_commands/grammar.py",
    "zeroq_recipes/voice_commands/lexicon.py",
    "zeroq_recipes/voice_commands/language_model.py",
)


# ---- figure 2 -----------------------------------------------------------------------------------------------------


def figure2(study: Study, on_step: OnStep) -> Part:
    """Latency against size of QuartzNet 5x5, 10x5 and 15x5, float and integer, on this machine."""
    from zeroq_research.reproduction.sections import Part

    results = [measure_latency(study, size, on_step) for size in study.sizes]
    rows = [{"model": size, **row} for size, result in zip(study.sizes, results, strict=True) for row in result["rows"]]
    sheet = latency_sheet(rows, study, results[0]["machine"])
    engines = list(dict.fromkeys(row["engine"] for row in rows))
    series = [
        Series(
            engine,
            tuple(
                Point(row["file_mb"], row["median_ms"], row["model"].removeprefix("quartznet"), _latency_title(row))
                for row in rows
                if row["engine"] == engine
            ),
        )
        for engine in engines
    ]
    drawing = plot(
        f"Latency of {study.frames / 100:g} s of audio against size", Axis("file (MB)", True), Axis("ms", True), series
    )
    words = "QuartzNet at its published sizes with random weights: the time does not depend on what they are."
    body = paragraph(words) + plots([drawing]) + sheet.to_html()
    pictures = {"figure2.svg": drawing.encode()}
    return Part("figure2", "Figure 2: latency against size", body, {"figure2": sheet}, pictures)


def measure_latency(study: Study, size: str, on_step: OnStep) -> Json:
    """The timings of one size, as a cell of this machine: rows as `pipeline.benchmark.run` makes them."""
    from eval.machine import describe_machine
    from zeroq_research.benchmark import run as benchmark

    plan = benchmark.Plan(size, study.frames, 1, (study.threads,), study.rounds)
    machine = describe_machine(("torch", "numpy"))
    inputs = {"plan": vars(plan), "machine": machine, "code": code_digest(_MEASURED)}

    def measure() -> Json:
        with TemporaryDirectory(prefix="zeroq-figure2-") as folder:
            engines, work = benchmark.prepare(plan, Path(folder), lambda _: None, peers=False)
            rows = benchmark.run(plan, engines, work, lambda: on_step(f"latency of {size}")).rows
        return {"rows": rows, "macs": work.macs, "machine": machine}

    return study.store.get("latency", inputs, measure)


def _latency_title(row: dict[str, Any]) -> str:
    return f"{row['model']} {row['engine']}: {row['median_ms']:.1f} ms, {row['file_mb']:.1f} MB"


def latency_sheet(rows: Sequence[dict[str, Any]], study: Study, machine: Json) -> Sheet:
    """One line per size and engine."""
    cells = tuple(
        (
            row["model"],
            row["engine"],
            f"{row['median_ms']:.1f}",
            f"{row['cpu_ms']:.1f}",
            f"{row['ratio']:.2f} [{row['ratio_low']:.2f}, {row['ratio_high']:.2f}]",
            f"{row['file_mb']:.1f}",
        )
        for row in rows
    )
    where = f"{machine['cpu']}, {machine['cores']} cores ({' '.join(machine['features'])})"
    return Sheet(
        title=f"{study.frames} frames, batch 1, {study.threads} thread(s), medians of {study.rounds} rounds",
        headings=("model", "engine", "median ms", "CPU ms", "times ours [quartiles]", "MB"),
        rows=cells,
        records=tuple(rows),
        left=frozenset({0, 1}),
        strong=frozenset(number for number, row in enumerate(rows) if row["engine"].startswith("zeroq")),
        notes=(where, "All engines of a size take turns, so that the machine's moods strike all alike."),
    )


# ---- figure 3 -----------------------------------------------------------------------------------------------------


def figure3(study: Study, on_step: OnStep) -> Part:
    """Real, random and synthetic spectrograms with the text that the float model reads, without and with an LM."""
    from synth import SpectrogramSpec, random_baseline
    from zeroq_asr.models.resolve import load_float_model
    from zeroq_asr.report.mel_figure import Panel, draw_panels, to_png
    from zeroq_research.experiments import Bench
    from zeroq_research.feature_cache import FeatureShelf
    from zeroq_research.reproduction.sections import Part

    model = load_float_model(study.plan.models[0])
    utterance = study.sets[0].utterances[0]
    shelf, seed = FeatureShelf(), study.plan.seeds[0]
    real = shelf.block(study.sets[0], -1, [0], model.frontend)[0]
    data = Bench(study.store, model, study.plan.settings, shelf).synthetic(seed, on_step)
    random = random_baseline(SpectrogramSpec(1, model.frontend.n_mels, data.batches[0].mel.shape[2]), seed)[0]
    titles = (f"real speech: “{utterance.text}”", "random, uniform in [-3, 3]", "synthetic")
    mels = (real, random, data.batches[0].mel[0])
    texts = read_texts(model, mels, study.arpa, study.plan.settings.threads)
    panels = [
        Panel(title, mel, greedy, () if beam is None else (f"with the 3-gram model: “{beam}”",))
        for title, mel, (greedy, beam) in zip(titles, mels, texts, strict=True)
    ]
    hop_ms = model.frontend.hop_ms
    combined = to_png(draw_panels(panels, hop_ms))
    body = paragraph(f"What {model.name} reads in each (float model).")
    for panel in panels:
        alone = to_png(draw_panels([Panel(panel.title, panel.mel)], hop_ms))
        caption = [f"greedy: “{panel.text}”", *panel.more]
        body += picture(alone, caption, f"mel spectrogram, {panel.title}")
    if study.arpa is None:
        body += paragraph("Without a language model: none was given, or flashlight-text is not installed.", note=True)
    sheet = _texts_sheet(titles, texts, model.name)
    heading = "Figure 3: what a model reads in its synthetic data"
    return Part("figure3", heading, body, {"figure3": sheet}, {"figure3.png": combined})


def read_texts(model: FloatModel, mels: Sequence[Mel], arpa: Path | None, threads: int) -> list[tuple[str, str | None]]:
    """(greedy text, text of the beam search with the language model or None) of every spectrogram [n_mels, T]."""
    from eval.beam import BeamDecoder
    from eval.ctc import decode
    from synth.device import use_device
    from zeroq_asr.runtime.float_executor import FloatExecutor

    use_device("cpu", threads)
    executor, (output,) = FloatExecutor(model.graph), model.graph.outputs
    beam = BeamDecoder(model.vocabulary, arpa) if arpa is not None else None
    texts = []
    for mel in mels:
        logits = executor.run(mel[None])[output][0].detach().cpu().numpy()
        greedy = decode(logits.argmax(axis=0).astype(np.int32), model.vocabulary)
        texts.append((greedy, None if beam is None else beam.decode(logits)))
    return texts


def _texts_sheet(titles: Sequence[str], texts: Sequence[tuple[str, str | None]], model: str) -> Sheet:
    rows = tuple((title, greedy, beam or "") for title, (greedy, beam) in zip(titles, texts, strict=True))
    names = ("spectrogram", "greedy", "language_model")
    return Sheet(
        title=f"What {model} reads",
        headings=("spectrogram", "greedy", "with the 3-gram model"),
        rows=rows,
        records=tuple(dict(zip(names, row, strict=True)) for row in rows),
        left=frozenset({0, 1, 2}),
    )


def corpus_arpa(store: CellStore, tell: Callable[[str], None]) -> Path:
    """The 3-gram model of the corpus text, built once. Raises FileError."""
    from zeroq_asr.files import write_atomically
    from zeroq_recipes.voice_commands.language_model import SENTENCES, corpus_model

    path = store.path("corpus-3gram", {"sentences": SENTENCES, "code": code_digest(_GRAMMAR)}, "arpa")
    if not store.believes(path):
        tell("building the 3-gram model")
        write_atomically(path, corpus_model().to_arpa().encode())
        store.made(path)
    return path
