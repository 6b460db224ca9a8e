"""Differences between systems on the same utterances, with intervals of the paired bootstrap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eval.errors import ScoreError
from eval.text import normalise
from eval.types import Comparison
from eval.wer import RESAMPLES, edit_counts, interval, resample_sums


def compare(
    references: Sequence[str],
    first: Sequence[str],
    second: Sequence[str],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Return WER(second) - WER(first) in points, with the 95 % interval of the paired bootstrap.

    Every resample draws the same utterances for both systems, so utterances that are difficult for both cancel out.
    Identical systems give exactly 0 [0, 0] and 100 % identical. Texts are normalised first. Raises ScoreError for
    lists of different or zero length.
    """
    if len(first) != len(second):
        raise ScoreError(f"compare: expected as many texts from both systems, got {len(first)} and {len(second)}")
    references = [normalise(t) for t in references]
    first, second = [normalise(t) for t in first], [normalise(t) for t in second]
    a, b = edit_counts(references, first), edit_counts(references, second)
    more = b.errors - a.errors
    sums = resample_sums(np.stack([more, a.reference_length], axis=1), seed, resamples)
    low, high = interval(100.0 * sums[:, 0] / np.maximum(sums[:, 1], 1))
    return Comparison(
        difference=100.0 * float(more.sum()) / float(max(int(a.reference_length.sum()), 1)),
        low=low,
        high=high,
        identical=100.0 * float(np.mean([x == y for x, y in zip(first, second, strict=True)])),
        better=int((more < 0).sum()),
        worse=int((more > 0).sum()),
        resamples=resamples,
    )


def compare_runs(
    references: Sequence[str],
    first: Sequence[str],
    runs: Sequence[Sequence[str]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Return the mean over runs of WER(run) - WER(first) in points, with the 95 % interval of a paired bootstrap.

    The runs are the seeds of one method. Every resample draws utterances, the same for all systems, and runs, both
    with replacement, so the interval covers the variation over speech and over seeds. For one run it is that of
    `compare`. `identical` is the mean over the runs; `better` and `worse` count utterances by the sum over the runs.
    Raises ScoreError for lists of different or zero length.
    """
    if not runs:
        raise ScoreError("compare_runs: expected at least one run, got none")
    if any(len(run) != len(first) for run in runs):
        raise ScoreError(f"compare_runs: expected {len(first)} texts from every run, got {[len(run) for run in runs]}")
    references = [normalise(t) for t in references]
    first, texts = [normalise(t) for t in first], [[normalise(t) for t in run] for run in runs]
    baseline = edit_counts(references, first)
    more = np.stack([edit_counts(references, run).errors for run in texts]) - baseline.errors  # [runs, N]
    return _over_runs(more, baseline.reference_length, [first] * len(runs), texts, seed, resamples)


def compare_methods(
    references: Sequence[str],
    first: Sequence[Sequence[str]],
    second: Sequence[Sequence[str]],
    seed: int = 0,
    resamples: int = RESAMPLES,
) -> Comparison:
    """Return the mean over runs of WER(second run) - WER(first run) in points: two methods with the same seeds.

    Otherwise as `compare_runs`: a resample draws the same utterances and runs for both methods. Raises ScoreError for
    lists of different or zero length.
    """
    if not first or len(first) != len(second):
        raise ScoreError(f"compare_methods: expected as many runs of both, got {len(first)} and {len(second)}")
    if any(len(run) != len(references) for run in (*first, *second)):
        raise ScoreError(f"compare_methods: expected {len(references)} texts from every run, got others")
    references = [normalise(t) for t in references]
    one, other = ([[normalise(t) for t in run] for run in runs] for runs in (first, second))
    counts = [edit_counts(references, run) for run in one]
    more = np.stack([edit_counts(references, run).errors - c.errors for run, c in zip(other, counts, strict=True)])
    return _over_runs(more, counts[0].reference_length, one, other, seed, resamples)


def _over_runs(
    more: npt.NDArray[np.int64],
    lengths: npt.NDArray[np.int64],
    first: Sequence[Sequence[str]],
    second: Sequence[Sequence[str]],
    seed: int,
    resamples: int,
) -> Comparison:
    """more: errors of `second` minus errors of `first`, [runs, N]. lengths: words of the references, [N]."""
    runs = len(more)
    sums = resample_sums(np.concatenate([more, lengths[None]]).T, seed, resamples)
    drawn = np.random.default_rng([seed, runs]).integers(0, runs, (resamples, runs))
    mean = np.take_along_axis(sums[:, :-1], drawn, axis=1).mean(axis=1)
    low, high = interval(100.0 * mean / np.maximum(sums[:, -1], 1))
    same = [[x == y for x, y in zip(a, b, strict=True)] for a, b in zip(first, second, strict=True)]
    return Comparison(
        difference=100.0 * float(more.sum()) / runs / max(int(lengths.sum()), 1),
        low=low,
        high=high,
        identical=100.0 * float(np.mean(same)),
        better=int((more.sum(axis=0) < 0).sum()),
        worse=int((more.sum(axis=0) > 0).sum()),
        resamples=resamples,
    )
