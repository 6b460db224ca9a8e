"""Models of the Python API: a float recogniser and an integer one, which transcribe in the same way."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np
import numpy.typing as npt

from zeroq_asr.artifact import IntegerModel, save_model
from zeroq_asr.config import THREADS
from zeroq_asr.errors import ConfigError, extras_named
from zeroq_asr.runtime.transcriber import Backend, TokenSource, Transcriber, Transcript, bits_of

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.frontend.spec import FrontendSpec
    from zeroq_asr.runtime.float_tokens import FloatTokens
    from zeroq_asr.verify import Proof

Waveform = npt.NDArray[np.floating[Any]]
"""Samples [N] of one channel, float32 or float64, full scale +-1."""
Audio = str | Path | Waveform
Several = TypeVar("Several", bound=Audio)

NOISE_FRAMES = (40, 97, 180, 400)
"""Lengths of the noise that `IntegerRecognizer.verify` runs without audio: frames, some 10 ms each."""


class Recognizer:
    """What both kinds of model share. `zeroq_asr.load` makes them."""

    def __init__(self, name: str, frontend: FrontendSpec, vocabulary: tuple[str, ...]) -> None:
        self.name = name
        """What the model was called when it was loaded."""
        self.frontend = frontend
        """How audio becomes log-mel features."""
        self.vocabulary = vocabulary
        """V pieces of text; the id V is the blank of CTC."""

    @property
    def sample_rate(self) -> int:
        """Samples per second, in Hz, that the model was trained on."""
        return self.frontend.sample_rate_hz

    @property
    def bits(self) -> str:
        """ "float32", or bits of weights and activations such as "W6A8"."""
        raise NotImplementedError

    @overload
    def transcribe(self, audio: Audio, sample_rate: int | None = None) -> Transcript: ...

    @overload
    def transcribe(self, audio: list[Several], sample_rate: int | None = None) -> list[Transcript]: ...

    @extras_named()
    def transcribe(self, audio: Audio | list[Several], sample_rate: int | None = None) -> Transcript | list[Transcript]:
        """Return what is said in `audio`; for a list, one transcript per entry, in order.

        audio: an audio file of any rate, format and number of channels, or samples [N] of one channel (float32 or
        float64, full scale +-1). sample_rate: of samples, in Hz; None: the model's own. Files state their own rate.
        `Transcript.text` is the text, `tokens` its ids without repeats and blanks, `seconds` the length of the audio.
        Raises FileError (audio that cannot be read or has no samples), ConfigError (an array of another form).
        """
        items: Sequence[Audio] = audio if isinstance(audio, list) else [audio]
        waves = [self._wave(item, sample_rate) if isinstance(item, np.ndarray) else item for item in items]
        transcripts = self._transcriber.transcribe(waves)
        return transcripts if isinstance(audio, list) else transcripts[0]

    @extras_named()
    def features(self, audio: Audio, sample_rate: int | None = None) -> npt.NDArray[np.float32]:
        """Return the log-mel features float32 [n_mels, T] of `audio`, as `transcribe` takes it. Raises the same."""
        from zeroq_asr.frontend.audio import read_audio
        from zeroq_asr.frontend.features import features_of

        if isinstance(audio, np.ndarray):
            return features_of(self._wave(audio, sample_rate), self.frontend, "audio")
        return features_of(read_audio(audio, self.sample_rate), self.frontend, audio)

    def _wave(self, samples: Waveform, sample_rate: int | None) -> npt.NDArray[np.float32]:
        from zeroq_asr.frontend.audio import MAX_RATE_HZ, MIN_RATE_HZ, at_rate

        if samples.ndim != 1 or not np.issubdtype(samples.dtype, np.floating):
            raise ConfigError(
                f"audio: expected samples float32 [N] of one channel, got {samples.dtype} {list(samples.shape)}"
            )
        rate = self.sample_rate if sample_rate is None else sample_rate
        if not MIN_RATE_HZ <= rate <= MAX_RATE_HZ:
            raise ConfigError(f"sample_rate: expected {MIN_RATE_HZ:,} to {MAX_RATE_HZ:,} Hz, got {rate!r}")
        return at_rate(samples.astype(np.float32), rate, self.sample_rate, "audio")

    @cached_property
    def _transcriber(self) -> Transcriber:
        # size_bytes is for reports of files; no report is made of this object
        return Transcriber(self.name, self.bits, self._backend, 0, self.frontend, self.vocabulary, self._source)

    @property
    def _backend(self) -> Backend:
        raise NotImplementedError

    @property
    def _source(self) -> TokenSource:
        raise NotImplementedError


class FloatRecognizer(Recognizer):
    """A float model, computed with torch. torch then uses `threads` threads in the whole process."""

    def __init__(self, model: FloatModel, threads: int = THREADS) -> None:
        super().__init__(model.name, model.frontend, model.vocabulary)
        self.model = model
        """The float graph with its front end and vocabulary."""
        self._threads = threads

    @property
    def bits(self) -> str:
        """ "float32"."""
        return "float32"

    @extras_named()
    def log_probs(self, audio: Audio, sample_rate: int | None = None) -> npt.NDArray[np.float32]:
        """Return log softmax of the logits, float32 [T', V + 1], natural logarithm; the last column is the blank.

        Takes and raises what `transcribe` does, for one file or array.
        """
        return self._source.log_probs(self.features(audio, sample_rate))

    @property
    def _backend(self) -> Backend:
        return "float"

    @cached_property
    def _source(self) -> FloatTokens:
        from zeroq_asr.runtime.float_tokens import FloatTokens

        return FloatTokens(self.model.graph, self._threads)


class IntegerRecognizer(Recognizer):
    """An integer program. Its bytes depend neither on `backend` nor on `threads`.

    Backends: "native" (compiled kernels), "reference" (numpy, slow), "float" (the same scales in float64, with torch).
    The weights are in memory twice, as stored and as the kernels read them; the command line `transcribe` keeps one.
    """

    def __init__(self, model: IntegerModel, name: str, backend: Backend = "native", threads: int = THREADS) -> None:
        super().__init__(name, model.frontend, model.vocabulary)
        self.model = model
        """The program with its input scale, front end, vocabulary and provenance, as the file holds it."""
        self.backend, self.threads = backend, threads

    @property
    def bits(self) -> str:
        """Bits of weights and activations such as "W6A8"; "W5.3A8": the mean, where layers differ."""
        return bits_of(self.model)

    def save(self, path: str | Path) -> None:
        """Write the model to one safetensors file, atomically; equal models give equal bytes. Raises FileError."""
        save_model(self.model, path)

    @extras_named()
    def logits(self, audio: Audio, sample_rate: int | None = None) -> npt.NDArray[np.int32]:
        """Return the logits int32 [T', V + 1], all on one grid: a real logit is one unknown scale times its integer.

        The last column is the blank. Takes and raises what `transcribe` does, for one file or array; ConfigError also
        for the backend "float", whose logits are no integers.
        """
        from zeroq_asr.runtime.integer_executor import IntegerExecutor

        if not isinstance(self._source, IntegerExecutor):
            raise ConfigError(f"logits: expected the backend native or reference, got {self.backend!r}")
        return np.ascontiguousarray(self._source.run([self.features(audio, sample_rate)])[0].T)

    @extras_named()
    def verify(self, audio: Sequence[Audio] = (), sample_rate: int | None = None) -> Proof:
        """Check the guaranteed properties of the model, as `python -m zeroq_asr.verify` does; nothing is changed.

        No float tensor in the graph; no accumulator that could leave int32; the compiled kernels and the numpy
        reference agree to the byte on every utterance, with one thread and several, one by one and in batches.
        audio: what to run, files or arrays as `transcribe` takes them; without any, normal noise of NOISE_FRAMES
        frames in place of features. A broken property raises nothing: `Proof.holds` is then False, and the
        other fields say what was found. Raises FileError and ConfigError as `transcribe` does, KernelError where the
        compiled kernels are not built.
        """
        from zeroq_asr.verify import verify

        given = [self.features(item, sample_rate) for item in audio]
        return verify(self.model, given or self._noise(), self.threads)

    def _noise(self) -> list[npt.NDArray[np.float32]]:
        rng = np.random.default_rng(0)
        return [rng.standard_normal((self.frontend.n_mels, frames), dtype=np.float32) for frames in NOISE_FRAMES]

    @property
    def _backend(self) -> Backend:
        return self.backend

    @cached_property
    def _source(self) -> TokenSource:
        from zeroq_asr.models.open import integer_transcriber

        return integer_transcriber(self.model, self.name, 0, self.backend, self.threads).source
