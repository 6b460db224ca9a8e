"""What a model reads: the interface between audio and every kind of model input.

Log-mel features (`zeroq_asr.frontend.spec.FrontendSpec`) are the only kind so far. Transcription, calibration and
evaluation ask for features through this interface, so that another kind, such as the waveform itself, needs one class
with these members.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

Audio = npt.NDArray[np.float32]
"""One channel of samples float32 [N], full scale +-1."""
Features = npt.NDArray[np.float32]
"""What a model reads of one utterance, float32 [C, T]."""


class InputSpec(Protocol):
    """How audio becomes the input of a model. Two equal specs give equal features."""

    @property
    def sample_rate_hz(self) -> int:
        """Rate of the audio that `features` expects."""
        ...

    @property
    def channels(self) -> int:
        """Channels C of the features."""
        ...

    def features(self, wave: Audio) -> Features:
        """Return the features float32 [C, T] of a waveform float32 [N]. Raises FileError: too short, not finite."""
        ...

    def frames(self, samples: int) -> int:
        """Return the number of frames T of `samples` samples."""
        ...
