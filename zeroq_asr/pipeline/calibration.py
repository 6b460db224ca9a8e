"""Where calibration data comes from: synthesis, noise, or real speech."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.config import RANDOM_BATCHES, RANDOM_FRAMES, RANDOM_SIZE
from zeroq_asr.errors import FileError
from zeroq_asr.files import read_file

if TYPE_CHECKING:
    from synth import SyntheticData
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.ir.frontend_spec import FrontendSpec
    from zeroq_asr.pipeline.quantize import Batch


def synthetic_batches(data: SyntheticData) -> Iterator[Batch]:
    """The batches of a finished synthesis, each [B, n_mels, T]."""
    return (batch.mel for batch in data.batches)


def random_batches(n_mels: int, seed: int) -> Iterator[Batch]:
    """U[-3, 3] noise in the shape of the paper's synthetic data (its table 2): 20 batches of 8 utterances of 500 frames."""
    from synth import SpectrogramSpec, random_baseline

    spec = SpectrogramSpec(RANDOM_SIZE, n_mels, RANDOM_FRAMES)
    return (random_baseline(spec, seed, number) for number in range(RANDOM_BATCHES))


def real_batches(manifest: Path, spec: FrontendSpec) -> Iterator[Batch]:
    """The utterances of a manifest as batches of one, each at its own length."""
    from eval.manifest import read_manifest
    from zeroq_asr.runtime.audio import read_audio
    from zeroq_asr.runtime.frontend import log_mel

    for utterance in read_manifest(manifest):
        yield log_mel(read_audio(utterance.audio_path, spec.sample_rate_hz), spec)[None]


def read_synthetic(path: Path, model: FloatModel) -> SyntheticData:
    """Return the synthetic data in `path`. Raises FileError if it was made for another model or is not finished."""
    from synth import SynthError, from_bytes
    from synth.store import MAX_BYTES

    try:
        data = from_bytes(read_file(path, MAX_BYTES), str(path))
    except SynthError as error:
        raise FileError(str(error)) from error
    if data.fingerprint != model.fingerprint:
        raise FileError(f"{path}: needed synthetic data made for {model.name!r}, this was made for another model; run `python -m zeroq_asr.generate` again")
    if not data.complete:
        raise FileError(f"{path}: holds {len(data.batches)} of {data.settings.batches} batches; finish it with `python -m zeroq_asr.generate --resume`")
    return data
