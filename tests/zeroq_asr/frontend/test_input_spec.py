"""Everything that asks for features does so through `InputSpec`, so that another kind of input needs one class."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from zeroq_asr.errors import FileError
from zeroq_asr.frontend.features import Features, features_of
from zeroq_asr.frontend.input_spec import Audio, InputSpec
from zeroq_asr.frontend.log_mel import log_mel
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.runtime.transcriber import Transcriber


@dataclass(frozen=True)
class Waveform:
    """The waveform itself as the input of a model: one channel, one frame per sample."""

    sample_rate_hz: int = 8000
    channels: int = 1

    def features(self, wave: Audio) -> Features:
        return wave[None]

    def frames(self, samples: int) -> int:
        return samples


class Loudest:
    """A model that answers with one token for each utterance: 0 where the input is not silent, else the blank 1."""

    def tokens(self, features: Sequence[Features]) -> list[npt.NDArray[np.int32]]:
        return [np.array([0 if x.any() else 1], dtype=np.int32) for x in features]


def test_log_mel_features_are_those_of_the_function() -> None:
    spec: InputSpec = FrontendSpec()
    wave = np.random.default_rng(0).normal(0, 0.1, 4000).astype(np.float32)
    assert np.array_equal(spec.features(wave), log_mel(wave, FrontendSpec()))
    assert spec.features(wave).shape == (spec.channels, spec.frames(4000))


def test_errors_name_the_waveform() -> None:
    with pytest.raises(FileError, match=r"^a\.wav: audio: expected at least"):
        features_of(np.zeros(3, np.float32), FrontendSpec(), Path("a.wav"))


def test_a_transcriber_runs_on_another_kind_of_input() -> None:
    transcriber = Transcriber("m", "float32", "float", 0, Waveform(), ("a",), Loudest())
    loud, silent = transcriber.transcribe([np.ones(800, np.float32), np.zeros(1600, np.float32)])
    assert (loud.text, loud.seconds, silent.text, silent.seconds) == ("a", 0.1, "", 0.2)
