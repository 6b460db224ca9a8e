"""Synthesis and noise of a size that a test of the bench can wait for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

from zeroq_asr import config
from zeroq_asr.pipelines import calibration


@contextmanager
def small_bench() -> Iterator[None]:
    """Inside, every preset makes 2 x 2 utterances of 60 frames in two steps, and random data is one short batch."""
    fast = config.GenerateConfig.of_preset("fast")
    small = replace(fast, batches=2, batch_size=2, frames=60, iterations=(2,))
    with (
        patch.object(config.GenerateConfig, "of_preset", lambda *_: small),
        patch.multiple(calibration, RANDOM_BATCHES=1, RANDOM_FRAMES=60),
    ):
        yield
