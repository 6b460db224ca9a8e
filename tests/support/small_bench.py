"""Synthesis and noise of a size that a test of the bench can wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from zeroq_asr import config
from zeroq_asr.pipelines import calibration


@contextmanager
def small_bench() -> Iterator[None]:
    """Inside, every preset makes 2 x 2 utterances of 60 frames in two steps, and random data is one short batch."""
    fast = config.GenerateConfig.of_preset("fast")
    small = replace(fast, batches=2, batch_size=2, frames=60, iterations=(2,))
    before = config.GenerateConfig.of_preset, calibration.RANDOM_BATCHES, calibration.RANDOM_FRAMES
    config.GenerateConfig.of_preset = lambda *_: small
    calibration.RANDOM_BATCHES, calibration.RANDOM_FRAMES = 1, 60
    try:
        yield
    finally:
        config.GenerateConfig.of_preset, calibration.RANDOM_BATCHES, calibration.RANDOM_FRAMES = before
