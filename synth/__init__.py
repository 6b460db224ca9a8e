"""Synthetic log-mel spectrograms from what a network's BatchNorms remember of its training data.

This surface is light (numpy and safetensors). The parts that need torch are `synth.optimize` and `synth.losses`.
"""

from synth.errors import SynthError
from synth.settings import INITS, LOSSES, SCHEDULES, SynthesisSettings
from synth.start import random_baseline
from synth.store import SyntheticData, from_bytes, to_bytes
from synth.types import BatchNormTap, SpectrogramSpec, StepRecord, SyntheticBatch

__all__ = [
    "INITS",
    "LOSSES",
    "SCHEDULES",
    "BatchNormTap",
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
