"""From audio to text: one interface for the float model, its quantized files and their float simulation.

A transcriber is a front end, a source of best token ids and a vocabulary; `zeroq_asr.models.open` builds them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import numpy.typing as npt

from eval.ctc import ctc_collapse, decode
from zeroq_asr.artifact import IntegerModel
from zeroq_asr.errors import ConfigError
from zeroq_asr.frontend.features import features_of
from zeroq_asr.frontend.input_spec import Audio, Features, InputSpec

Ids = npt.NDArray[np.int32]

Backend = Literal["native", "reference", "float"]
BACKENDS: tuple[Backend, ...] = ("native", "reference", "float")

_FILES_AT_A_TIME = 32
"""Files whose features are in memory at a time."""


class TokenSource(Protocol):
    """Computes the best ids int32 [T'] of each utterance from its features float32 [C, T], in order."""

    def tokens(self, features: Sequence[Features]) -> list[Ids]:
        """Return the best token id of every output frame of every utterance, each at its own length."""
        ...


@dataclass(frozen=True)
class Transcript:
    """The text, its token ids without repeats and blanks, and the duration of the audio in seconds."""

    text: str
    tokens: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Transcriber:
    """A model ready to transcribe.

    bits: "float32" or e.g. "W6A8". backend: "native", "reference" or "float". size_bytes: size of the model file, or of
    the float32 parameters if there is no file. source: computes the token ids.
    """

    name: str
    bits: str
    backend: Backend
    size_bytes: int
    frontend: InputSpec
    vocabulary: tuple[str, ...]
    source: TokenSource

    def transcribe(self, audio: Sequence[str | Path | Audio]) -> list[Transcript]:
        """Transcribe audio files (any rate and channels) or waveforms float32 [N] at the rate of the model, in order.

        Raises FileError and ConfigError for audio that cannot be read or is empty.
        """
        transcripts: list[Transcript] = []
        for start in range(0, len(audio), _FILES_AT_A_TIME):
            features, seconds = [], []
            for number, item in enumerate(audio[start : start + _FILES_AT_A_TIME], start):
                wave = self._wave(item)
                where = f"waveform {number}" if isinstance(item, np.ndarray) else item
                features.append(features_of(wave, self.frontend, where))
                seconds.append(wave.size / self.frontend.sample_rate_hz)
                del wave
            transcripts += self.transcribe_features(features, seconds)
        return transcripts

    def transcribe_features(self, features: Sequence[Features], seconds: Sequence[float]) -> list[Transcript]:
        """Transcribe features float32 [C, T] of the front end of this model; `seconds`: durations of the audio."""
        blank = len(self.vocabulary)
        ids = self.source.tokens(features)
        return [
            Transcript(decode(row, self.vocabulary), ctc_collapse(row, blank), length)
            for row, length in zip(ids, seconds, strict=True)
        ]

    def memory_bytes(self, seconds: float) -> dict[str, int]:
        """Return the bytes of the `model` and of an `utterance` of this duration; empty if the backend has no count."""
        from zeroq_asr.runtime.integer_executor import IntegerExecutor

        if not isinstance(self.source, IntegerExecutor):
            return {}
        return self.source.memory_bytes(self.frontend.frames(round(seconds * self.frontend.sample_rate_hz)))

    def _wave(self, item: str | Path | Audio) -> Audio:
        if isinstance(item, np.ndarray):
            if item.ndim != 1 or item.dtype != np.float32:
                raise ConfigError(f"audio: expected a waveform float32 [N], got {item.dtype} {list(item.shape)}")
            return item
        from zeroq_asr.frontend.audio import read_audio

        return read_audio(item, self.frontend.sample_rate_hz)


def bits_of(model: IntegerModel) -> str:
    """Return the bits of the weights and of the widest quantized activation, e.g. "W6A8".

    If layers differ, the weight bits are the mean over the weights, e.g. "W5.3A8".
    """
    codes = [value.type.bits for value in model.program.values if value.type.is_code]
    return f"W{weight_bits_of(model)}A{max(codes)}"


def weight_bits_of(model: IntegerModel) -> str:
    """Return the weight bits, e.g. "6"; if layers differ, the mean over the weights with one decimal place."""
    return f"{model.mean_bits:.{1 if len(model.weights) > 1 else 0}f}"
