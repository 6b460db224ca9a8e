"""Features of a waveform or of a manifest's utterance, with errors that name the file."""

from __future__ import annotations

from pathlib import Path

from eval.types import Utterance
from zeroq_asr.errors import FileError
from zeroq_asr.frontend.input_spec import Audio, Features, InputSpec

__all__ = ["Audio", "Features", "features_of", "read_utterance"]

_DURATION_SLACK_S = 0.1
"""Durations in manifests are rounded; an audio file that is shorter by more than this was truncated."""


def features_of(wave: Audio, spec: InputSpec, where: str | Path) -> Features:
    """Return the features float32 [C, T] of a waveform float32 [N]; `where` names the waveform in errors.

    Raises FileError: too short, not finite.
    """
    try:
        return spec.features(wave)
    except FileError as error:
        raise FileError(f"{where}: {error}") from error


def read_utterance(utterance: Utterance, sample_rate_hz: int) -> Audio:
    """Return the samples float32 [N] of an utterance: [offset, offset + duration) of its file, as NeMo reads it.

    Raises FileError when the file is shorter than the manifest says.
    """
    from zeroq_asr.frontend.audio import read_audio

    wave = read_audio(utterance.audio_path, sample_rate_hz)
    end_s = utterance.offset_s + utterance.duration_s
    found_s = wave.size / sample_rate_hz
    if found_s < end_s - _DURATION_SLACK_S:
        raise FileError(
            f"{utterance.audio_path}: expected audio up to {end_s:.2f} s as the manifest says, got {found_s:.2f} s; "
            "is the file truncated, or does the manifest belong to other files?"
        )
    segment: Audio = wave[round(utterance.offset_s * sample_rate_hz) : round(end_s * sample_rate_hz)]
    if not segment.size:
        raise FileError(
            f"{utterance.audio_path}: expected at least one sample, got a segment of {utterance.duration_s} s"
        )
    return segment
