"""Pictures of a synthesis: start, result and real speech side by side, with the text that the model reads in each."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from synth import SpectrogramSpec, SyntheticData, random_baseline
from synth.start import normalize_features, start
from zeroq_asr.config import GenerateConfig
from zeroq_asr.report.mel_figure import Panel, draw_panels, to_png

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

Mel = npt.NDArray[np.float32]
ReadText = Callable[[Mel], str]


def text_decoder(model: FloatModel, threads: int) -> ReadText:
    """Return a function from a spectrogram float32 [n_mels, T] to the text that the float model reads (greedy CTC)."""
    from eval.ctc import decode
    from zeroq_asr.runtime.float_tokens import FloatTokens

    source = FloatTokens(model.graph, threads)
    return lambda mel: decode(source.tokens([mel])[0], model.vocabulary)


def reference_mel(source: str, model: FloatModel) -> Mel:
    """Return the features float32 [n_mels, T] of real speech: an audio file, or the first utterance of a manifest.

    `source`: the name of a shipped set, a NeMo manifest (.json, .jsonl), or an audio file. Raises FileError, EvalError.
    """
    from zeroq_asr.frontend.audio import read_audio
    from zeroq_asr.models import shipped

    path = shipped.manifest_path(source) if source in ("clean", "other") else Path(source)
    if path.suffix.lower() in (".json", ".jsonl", ".manifest"):
        from eval.manifest import read_manifest

        path = read_manifest(path, limit=1)[0].audio_path
    return model.frontend.features(read_audio(path, model.frontend.sample_rate_hz))


def reference_panel(source: str | None, config: GenerateConfig, model: FloatModel, read_text: ReadText) -> Panel:
    """Return a panel for comparison: real speech if `source` is given, else the random baseline U[-3, 3]."""
    if source is None:
        spec = SpectrogramSpec(1, model.frontend.n_mels, config.frames)
        mel, title = random_baseline(spec, config.seed)[0], "random, uniform in [-3, 3]"
    else:
        mel, title = reference_mel(source, model), f"real speech ({Path(source).name})"
    return Panel(title, mel, read_text(mel))


def synthesis_picture(data: SyntheticData, read_text: ReadText, reference: Panel, hop_ms: float) -> bytes:
    """Return a PNG of the first spectrogram at the start and at the end, and of the reference."""
    settings, batch = data.settings, data.batches[0]
    first = start(settings.init, settings.batch_spec(0), settings.seed, 0)[:1].astype(np.float64)
    begin = (normalize_features(first) if settings.normalize else first)[0].astype(np.float32)
    result = batch.mel[0]
    steps = batch.losses.size - 1
    panels = [
        Panel(f"start: {settings.init} noise, loss {batch.losses[0]:.3g}", begin, read_text(begin)),
        Panel(f"synthetic, after {steps} steps: loss {batch.losses[-1]:.3g}", result, read_text(result)),
        reference,
    ]
    return to_png(draw_panels(panels, hop_ms))
