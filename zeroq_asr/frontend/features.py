"""Features of a waveform or of a manifest's utterance, with errors that name the file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import numpy.typing as npt

from eval.types import Utterance
from zeroq_asr.errors import FileError
from zeroq_asr.frontend.spec import FrontendSpec

Audio = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]

# A manifest's durations are rounded; an audio file that is shorter by more than this has been cut.
_DURATION_SLACK_S = 0.1


def features_of(wave: Audio, spec: FrontendSpec, where: str | Path) -> Features:
    """Return the log-mel features float32 [n_mels, T] of a waveform float32 [N]; `where` names it in errors.

    Raises FileError: too short, not finite.
    """
    from zeroq_asr.frontend.log_mel import log_mel

    try:
        return log_mel(wave, spec)
    except FileError as error:
        raise FileError(f"{where}: {error}") from error


def read_utterance(utterance: Utterance, sample_rate_hz: int) -> Audio:
    """Return the utterance's samples float32 [N]: [offset, offset + duration) of its file, as NeMo reads it.

    Raises FileError when the file holds less than the manifest says.
    """
    from zeroq_asr.frontend.audio import read_audio

    wave = read_audio(utterance.audio_path, sample_rate_hz)
    end_s = utterance.offset_s + utterance.duration_s
    found_s = wave.size / sample_rate_hz
    if found_s < end_s - _DURATION_SLACK_S:
        raise FileError(
            f"{utterance.audio_path}: expected audio up to {end_s:.2f} s as the manifest says, got {found_s:.2f} s; "
            "is the file cut off, or does the manifest belong to other files?"
        )
    segment: Audio = wave[round(utterance.offset_s * sample_rate_hz) : round(end_s * sample_rate_hz)]
    if not segment.size:
        raise FileError(
            f"{utterance.audio_path}: expected at least one sample, got a segment of {utterance.duration_s} s"
        )
    return segment
