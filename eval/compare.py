"""Two systems on the same utterances: the difference that resampling both together leaves standing."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

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
    """difference = WER(second) - WER(first), in points, with the 95 % interval of the paired bootstrap.

    Every resample draws the same utterances for both systems, so what both find hard cancels out. Identical
    systems give exactly 0 [0, 0] and 100 % decoded identically. Texts are normalised first. Raises ScoreError
    for lists of different or zero length.
    """
    if len(first) != len(second):
        raise ScoreError(f"compare: needed as many texts from both systems, came {len(first)} and {len(second)}")
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
