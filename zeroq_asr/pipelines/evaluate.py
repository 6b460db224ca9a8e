"""Evaluation: the error rates of transcribers on manifests."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from zeroq_asr.config import SEED

if TYPE_CHECKING:
    from eval.types import EvalReport, Utterance
    from zeroq_asr.frontend.input_spec import Features, InputSpec
    from zeroq_asr.runtime.transcriber import Transcriber

OnBlock = Callable[[], None]

_BLOCK_SECONDS = 30.0
"""Seconds of audio whose features are in memory at a time, shared by all models; enough to fill a batch."""


@dataclass(frozen=True)
class TestSet:
    """The utterances of one manifest and its name in reports."""

    __test__ = False  # pytest must not collect it

    name: str
    utterances: tuple[Utterance, ...]


def read_test_set(reference: str, limit: int | None = None) -> TestSet:
    """Return a shipped set by name ("clean", "other") or a manifest by path; at most `limit` utterances.

    Raises ManifestError.
    """
    from eval.manifest import read_manifest
    from zeroq_asr.models.shipped import manifest_path, shipped_sets

    path = manifest_path(reference) if reference in shipped_sets() else Path(reference)
    return TestSet(reference, tuple(read_manifest(path, limit)))


def evaluate(
    models: Sequence[Transcriber],
    sets: Sequence[TestSet],
    seed: int = SEED,
    on_block: OnBlock | None = None,
) -> list[EvalReport]:
    """Transcribe every set with every model and score it; each model is compared with the first one.

    Features are computed once for all models with the same front end. Reports are ordered by set, then by model.
    `on_block` is called after every block of speech. Raises ZeroqError and EvalError for unusable audio or transcripts.
    """
    from eval.compare import compare
    from eval.types import EvalReport
    from eval.wer import score

    names = _names(models)
    reports = []
    for test_set in sets:
        references = [utterance.text for utterance in test_set.utterances]
        texts, seconds = _transcribe(models, test_set, on_block)
        for index, model in enumerate(models):
            scores = score(references, texts[index], seed)
            pair = compare(references, texts[0], texts[index], seed) if index else None
            reports.append(
                EvalReport(
                    model=names[index],
                    manifest=test_set.name,
                    backend=model.backend,
                    bits=model.bits,
                    size_bytes=model.size_bytes,
                    seconds=seconds[index],
                    scores=scores,
                    comparison=pair,
                )
            )
    return reports


def _transcribe(
    models: Sequence[Transcriber], test_set: TestSet, on_block: OnBlock | None
) -> tuple[list[list[str]], list[float]]:
    """Return the texts [model][utterance] and the seconds of computation of each model without the front end."""
    utterances = test_set.utterances
    texts = [[""] * len(utterances) for _ in models]
    seconds = [0.0] * len(models)
    specs = dict.fromkeys(model.frontend for model in models)
    for block in split_into_blocks(utterances):
        features = {spec: [_features(utterances[i], spec) for i in block] for spec in specs}
        lengths = [utterances[i].duration_s for i in block]
        for number, model in enumerate(models):
            started = time.perf_counter()
            transcripts = model.transcribe_features(features[model.frontend], lengths)
            seconds[number] += time.perf_counter() - started
            for i, transcript in zip(block, transcripts, strict=True):
                texts[number][i] = transcript.text
        if on_block is not None:
            on_block()
    return texts, seconds


def _features(utterance: Utterance, spec: InputSpec) -> Features:
    from zeroq_asr.frontend.features import features_of, read_utterance

    return features_of(read_utterance(utterance, spec.sample_rate_hz), spec, utterance.audio_path)


def split_into_blocks(utterances: Sequence[Utterance]) -> list[list[int]]:
    """Return the indices in blocks of bounded duration, shortest utterance first, for little padding."""
    blocks: list[list[int]] = []
    filled = 0.0
    for index in sorted(range(len(utterances)), key=lambda i: utterances[i].duration_s):
        if not blocks or filled + utterances[index].duration_s > _BLOCK_SECONDS:
            blocks.append([])
            filled = 0.0
        blocks[-1].append(index)
        filled += utterances[index].duration_s
    return blocks


def _names(models: Sequence[Transcriber]) -> list[str]:
    """Return the names of the models, with numbers where two rows would otherwise look the same."""
    keys = [(model.name, model.backend) for model in models]
    return [f"{key[0]} ({i + 1})" if keys.count(key) > 1 else key[0] for i, key in enumerate(keys)]
