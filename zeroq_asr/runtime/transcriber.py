"""From audio to text: one face for the float model, its quantized files and their float simulation.

A transcriber is a front end, a source of best token ids and a vocabulary. Only the builders of the float and of the
simulated kind import torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol

import numpy as np
import numpy.typing as npt

from eval.ctc import ctc_collapse, decode
from eval.types import Utterance
from int_kernels.int_type import IntType
from zeroq_asr.artifact import IntegerModel, load_model
from zeroq_asr.config import THREADS
from zeroq_asr.errors import ConfigError, FileError
from zeroq_asr.ir.frontend_spec import FrontendSpec
from zeroq_asr.runtime.model_kind import find_model_kind

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

Audio = npt.NDArray[np.float32]
Features = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

Backend = Literal["native", "reference", "float"]
BACKENDS: tuple[Backend, ...] = ("native", "reference", "float")

# Features held at a time when files are transcribed one after the other.
_FILES_AT_A_TIME = 32
# A manifest's durations are rounded; an audio file that is shorter by more than this has been cut.
_DURATION_SLACK_S = 0.1


class TokenSource(Protocol):
    """Whatever turns features float32 [n_mels, T] of each utterance into best ids int32 [T'], in order."""

    def tokens(self, features: Sequence[Features]) -> list[Ids]:
        """Return the best token id of every output frame of every utterance, each at its own length."""
        ...


@dataclass(frozen=True)
class Transcript:
    """What was understood: the text, the ids it is spelled with (repeats and blanks gone), the audio's length."""

    text: str
    tokens: tuple[int, ...]
    seconds: float


@dataclass(frozen=True, eq=False)
class Transcriber:
    """A model ready to transcribe.

    bits: "float32" or e.g. "W6A8". backend: "native", "reference" or "float". size_bytes: the model's file, or its
    parameters in float32 when it came from no file of its own.
    """

    name: str
    bits: str
    backend: Backend
    size_bytes: int
    frontend: FrontendSpec
    vocabulary: tuple[str, ...]
    source: TokenSource

    def transcribe(self, audio: Sequence[str | Path | Audio]) -> list[Transcript]:
        """Transcribe audio files (any rate and channels) or waveforms float32 [N] at the model's own rate, in order.

        Raises FileError and ConfigError for audio that cannot be read or holds nothing.
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
        """Transcribe features float32 [n_mels, T] of this model's front end; `seconds` are the audio's lengths."""
        blank = len(self.vocabulary)
        ids = self.source.tokens(features)
        return [
            Transcript(decode(row, self.vocabulary), ctc_collapse(row, blank), length)
            for row, length in zip(ids, seconds, strict=True)
        ]

    def memory_bytes(self, seconds: float) -> dict[str, int]:
        """Bytes of the `model` and of an `utterance` of so many seconds, where the backend counts them."""
        from zeroq_asr.runtime.integer_executor import IntegerExecutor

        if not isinstance(self.source, IntegerExecutor):
            return {}
        return self.source.memory_bytes(self.frontend.frames(round(seconds * self.frontend.sample_rate_hz)))

    def _wave(self, item: str | Path | Audio) -> Audio:
        if isinstance(item, np.ndarray):
            if item.ndim != 1 or item.dtype != np.float32:
                raise ConfigError(f"audio: needed a waveform float32 [N], came {item.dtype} {list(item.shape)}")
            return item
        from zeroq_asr.runtime.audio import read_audio

        return read_audio(item, self.frontend.sample_rate_hz)


def features_of(wave: Audio, spec: FrontendSpec, where: str | Path) -> Features:
    """Return the log-mel features float32 [n_mels, T] of a waveform float32 [N]; `where` names it in errors.

    Raises FileError: too short, not finite.
    """
    from zeroq_asr.runtime.frontend import log_mel

    try:
        return log_mel(wave, spec)
    except FileError as error:
        raise FileError(f"{where}: {error}") from error


def read_utterance(utterance: Utterance, sample_rate_hz: int) -> Audio:
    """Return the utterance's samples float32 [N]: [offset, offset + duration) of its file, as NeMo reads it.

    Raises FileError when the file holds less than the manifest says.
    """
    from zeroq_asr.runtime.audio import read_audio

    wave = read_audio(utterance.audio_path, sample_rate_hz)
    end_s = utterance.offset_s + utterance.duration_s
    found_s = wave.size / sample_rate_hz
    if found_s < end_s - _DURATION_SLACK_S:
        raise FileError(
            f"{utterance.audio_path}: needed audio up to {end_s:.2f} s as the manifest says, came {found_s:.2f} s; "
            "is the file cut off, or does the manifest belong to other files?"
        )
    segment: Audio = wave[round(utterance.offset_s * sample_rate_hz) : round(end_s * sample_rate_hz)]
    if not segment.size:
        raise FileError(
            f"{utterance.audio_path}: needed at least one sample, came a segment of {utterance.duration_s} s"
        )
    return segment


# ---- builders -----------------------------------------------------------------------------------------------------


def open_transcriber(reference: str, backend: Backend = "native", threads: int = THREADS) -> Transcriber:
    """Return the transcriber of a quantized file, a .nemo file, a shipped model or a hub name, judged by content.

    `backend` says how a quantized file computes ("float": the float simulation of its scales); a float model always
    computes in float. Raises ZeroqError.
    """
    if backend not in BACKENDS:
        raise ConfigError(f"--backend: needed one of {', '.join(BACKENDS)}, came {backend!r}")
    if threads < 1:
        raise ConfigError(f"--threads: needed at least 1, came {threads}")
    kind = find_model_kind(reference)
    if kind == "synthetic":
        raise FileError(
            f"{reference}: needed a model, this is synthetic data made by `generate`; give it as --data to `quantize`"
        )
    if kind == "quantized":
        return open_integer(reference, backend, threads)
    return open_float(reference, threads)


def open_integer(path: str | Path, backend: Backend = "native", threads: int = THREADS) -> Transcriber:
    """Return the transcriber of a quantized file. Without torch, unless backend is "float". Raises FileError."""
    name, size = Path(path).name, Path(path).stat().st_size
    model = load_model(path)
    if backend != "native":
        return integer_transcriber(model, name, size, backend, threads)
    from zeroq_asr.runtime.integer_executor import IntegerExecutor
    from zeroq_asr.runtime.memory import give_back_freed

    bits, frontend, vocabulary = bits_of(model), model.frontend, model.vocabulary
    program, input_scale = model.program, model.input_scale
    del model  # nothing but the program holds the weights now, and the executor uses it up
    source = IntegerExecutor.spending(program, input_scale, threads)
    give_back_freed()
    return Transcriber(name, bits, backend, size, frontend, vocabulary, source)


def integer_transcriber(
    model: IntegerModel, name: str, size_bytes: int, backend: Backend = "native", threads: int = THREADS
) -> Transcriber:
    """Return the transcriber of an integer model in memory."""
    source: TokenSource
    if backend == "float":
        from zeroq_asr.runtime.simulation import SimulatedExecutor

        source = SimulatedExecutor(model)
    else:
        from zeroq_asr.runtime.integer_executor import IntegerExecutor

        source = IntegerExecutor(model, backend=backend, threads=threads)
    return Transcriber(name, bits_of(model), backend, size_bytes, model.frontend, model.vocabulary, source)


def open_float(reference: str, threads: int = THREADS) -> Transcriber:
    """Return the transcriber of a .nemo file, a shipped model or a hub name. Imports torch. Raises ZeroqError."""
    from zeroq_asr.adapters import load_float_model

    model = load_float_model(reference)
    path = Path(reference)
    if not path.is_file():
        from zeroq_asr.zoo import model_path, shipped_models

        path = model_path(reference) if reference in shipped_models() else path
    size = path.stat().st_size if path.is_file() else sum(array.nbytes for array in model.graph.constants.values())
    return float_transcriber(model, Path(reference).name, size, threads)


def float_transcriber(model: FloatModel, name: str, size_bytes: int, threads: int = THREADS) -> Transcriber:
    """Return the transcriber of a float model in memory; torch will use `threads` threads in this process."""
    from zeroq_asr.runtime.float_tokens import FloatTokens

    source = FloatTokens(model.graph, threads)
    return Transcriber(name, "float32", "float", size_bytes, model.frontend, model.vocabulary, source)


def bits_of(model: IntegerModel) -> str:
    """Return "W6A8": the bits of weights and of the widest activation code that the integer program declares.

    "W5.3A8" where layers differ: the mean over the weights.
    """
    codes = [v.type.bits for v in model.graph.values.values() if isinstance(v.type, IntType) and v.type.is_code]
    return f"W{weight_bits_of(model)}A{max(codes)}"


def weight_bits_of(model: IntegerModel) -> str:
    """Return "6", or with one decimal place the mean over the weights where layers differ."""
    return f"{model.mean_bits:.{1 if len(model.weights) > 1 else 0}f}"
