"""The inputs of a benchmark: noise of one length, or speech at its real lengths."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from eval.types import Utterance
from int_kernels import Program
from zeroq_asr.analyses.cost import count_costs, count_products
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir.types import Graph
from zeroq_research.engines import Mel, noise


@dataclass(frozen=True)
class Work:
    """The work of one run: number of utterances, seconds of audio, number of multiply-accumulates."""

    utterances: int
    audio_s: float
    macs: int


def make_inputs(
    frontend: FrontendSpec, batch: int, frames: int, manifest: str | None, percent: float, seed: int
) -> tuple[list[Mel], float]:
    """Return the inputs, float32 [B, n_mels, T] each, and the seconds of audio that they represent.

    Without a manifest: one batch of `batch` utterances of noise with `frames` frames. With one: `percent` of its
    utterances, each as a batch of 1. Raises ZeroqError, EvalError.
    """
    if manifest is None:
        seconds = batch * frames * frontend.hop_samples / frontend.sample_rate_hz
        return [noise(batch, frontend.n_mels, frames)], seconds
    from zeroq_asr.frontend.features import features_of, read_utterance
    from zeroq_asr.pipelines.evaluate import read_test_set

    chosen = choose_utterances(read_test_set(manifest).utterances, percent, seed)
    inputs = []
    for utterance in chosen:
        audio = read_utterance(utterance, frontend.sample_rate_hz)
        inputs.append(features_of(audio, frontend, utterance.audio_path)[None])
    return inputs, sum(utterance.duration_s for utterance in chosen)


def choose_utterances(utterances: Sequence[Utterance], percent: float, seed: int) -> list[Utterance]:
    """Return `percent` of the utterances, at least one, in their order; the same seed gives the same choice.

    The utterances are sorted by duration and divided into as many equal parts as are wanted; one of each part is
    chosen. So the chosen durations are distributed like all durations.
    """
    wanted = max(1, math.ceil(len(utterances) * percent / 100 - 1e-9))
    by_length = sorted(range(len(utterances)), key=lambda i: (utterances[i].duration_s, i))
    edges = [len(utterances) * part // wanted for part in range(wanted + 1)]
    rng = np.random.default_rng(seed)
    positions = [int(rng.integers(first, last)) for first, last in pairwise(edges)]
    return [utterances[i] for i in sorted(by_length[position] for position in positions)]


def measure_work(model: Graph | Program, inputs: Sequence[Mel], audio_s: float) -> Work:
    """Return the work of a run of `model` over the inputs: convolutions and the products inside attention count."""
    lengths = [mel.shape[2] for mel in inputs]
    macs = {length: sum(step_macs(model, length).values()) for length in set(lengths)}
    total = sum(mel.shape[0] * macs[length] for mel, length in zip(inputs, lengths, strict=True))
    return Work(sum(mel.shape[0] for mel in inputs), audio_s, total)


def step_macs(model: Graph | Program, frames: int) -> dict[str, int]:
    """Return the multiply-accumulates of each step that has any, by output, for one utterance of `frames` frames."""
    macs = {name: cost.macs for name, cost in count_costs(model, frames).items()}
    for name, cost in count_products(model, frames).items():
        value = name.rpartition(".")[0]
        macs[value] = macs.get(value, 0) + cost.macs
    return macs
