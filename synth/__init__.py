"""Synthetic log-mel spectrograms from the running statistics of the BatchNorm layers of a network.

Importing this package needs numpy and safetensors only; `synth.optimize` and `synth.losses` need torch.
Source: Kim et al. 2021, "Q-ASR: Integer-only zero-shot quantization for efficient speech recognition".
"""

from synth.errors import SynthError
from synth.settings import INITS, LOSSES, SCHEDULES, SynthesisSettings
from synth.start import random_baseline
from synth.store import SyntheticData, from_bytes, to_bytes
from synth.types import BatchNormStatistics, SpectrogramSpec, StepRecord, SyntheticBatch

__all__ = [
    "INITS",
    "LOSSES",
    "SCHEDULES",
    "BatchNormStatistics",
    "SpectrogramSpec",
    "StepRecord",
    "SynthError",
    "SynthesisSettings",
    "SyntheticBatch",
    "SyntheticData",
    "from_bytes",
    "random_baseline",
    "to_bytes",
]
