"""Word and character error rates of a corpus by jiwer, with bootstrap intervals over utterances."""

from __future__ import annotations

from collections.abc import Sequence

import jiwer
import numpy as np
import numpy.typing as npt

from eval.errors import ScoreError
from eval.text import normalise
from eval.types import EditCounts, IntArray, Scores

RESAMPLES = 2000
CONFIDENCE = 0.95
_INDICES_AT_A_TIME = 1 << 21
"""Number of int64 indices drawn at a time, which bounds the memory of a resampling step."""


def edit_counts(references: Sequence[str], hypotheses: Sequence[str], unit: str = "words") -> EditCounts:
    """Return the edit counts of each utterance by jiwer's alignment.

    unit: "words" or "characters" (a space is a character). The texts are not normalised (see `eval.text.normalise`).
    For an empty hypothesis every word of the reference is a deletion; for an empty reference every word of the
    hypothesis is an insertion. Raises ScoreError if the lists differ in length or are empty, or for another unit.
    """
    _check_pairs(references, hypotheses)
    output: jiwer.WordOutput | jiwer.CharacterOutput
    if unit == "words":
        output = jiwer.process_words(list(references), list(hypotheses))
    elif unit == "characters":
        output = jiwer.process_characters(list(references), list(hypotheses))
    else:
        raise ScoreError(f"edit_counts: expected unit 'words' or 'characters', got '{unit}'")
    counts = np.zeros((4, len(output.references)), dtype=np.int64)
    for n, (reference, chunks) in enumerate(zip(output.references, output.alignments, strict=True)):
        counts[3, n] = len(reference)
        for chunk in chunks:
            removed, added = chunk.ref_end_idx - chunk.ref_start_idx, chunk.hyp_end_idx - chunk.hyp_start_idx
            if chunk.type == "substitute":
                counts[0, n] += removed
            elif chunk.type == "delete":
                counts[1, n] += removed
            elif chunk.type == "insert":
                counts[2, n] += added
    return EditCounts(*(row.copy() for row in counts))


def score(references: Sequence[str], hypotheses: Sequence[str], seed: int = 0, resamples: int = RESAMPLES) -> Scores:
    """Return WER = sum(S + D + I) / sum(N) over the corpus, and CER, in percent, with 95 % bootstrap intervals.

    References and hypotheses are normalised first (`eval.text.normalise`). The same seed gives exactly the same
    interval. Raises ScoreError for lists of different or zero length, or if no reference has a word.
    """
    references, hypotheses = [normalise(t) for t in references], [normalise(t) for t in hypotheses]
    words = edit_counts(references, hypotheses, "words")
    characters = edit_counts(references, hypotheses, "characters")
    if not words.reference_length.any():
        raise ScoreError(f"score: expected at least one reference word in {len(references)} utterances, got none")
    wer_low, wer_high = interval(bootstrap_rates(words, seed, resamples))
    cer_low, cer_high = interval(bootstrap_rates(characters, seed, resamples))
    return Scores(
        utterances=len(references),
        words=int(words.reference_length.sum()),
        characters=int(characters.reference_length.sum()),
        wer=words.rate,
        wer_low=wer_low,
        wer_high=wer_high,
        cer=characters.rate,
        cer_low=cer_low,
        cer_high=cer_high,
        substitutions=int(words.substitutions.sum()),
        deletions=int(words.deletions.sum()),
        insertions=int(words.insertions.sum()),
        exact=100.0 * float(np.mean(words.errors == 0)),
        resamples=resamples,
    )


def resample_sums(columns: npt.NDArray[np.int64], seed: int, resamples: int) -> IntArray:
    """Return the sum of each column over each resample: int64 [N, K] -> int64 [resamples, K].

    A resample draws N utterances with replacement. All columns share the draw, so that systems are compared in pairs.
    Raises ScoreError for fewer than 1000 resamples.
    Source: Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance evaluation".
    """
    if resamples < 1000:
        raise ScoreError(f"bootstrap: expected at least 1000 resamples for a 95 % interval, got {resamples}")
    rng = np.random.default_rng(seed)
    count = columns.shape[0]
    rows = max(1, _INDICES_AT_A_TIME // count)
    sums = np.empty((resamples, columns.shape[1]), dtype=np.int64)
    for start in range(0, resamples, rows):
        drawn = rng.integers(0, count, size=(min(rows, resamples - start), count))
        sums[start : start + len(drawn)] = np.stack([c[drawn].sum(axis=1) for c in columns.T], axis=1)
    return sums


def bootstrap_rates(counts: EditCounts, seed: int, resamples: int = RESAMPLES) -> npt.NDArray[np.float64]:
    """Return the rate of each resample of the utterances in percent, float64 [resamples]."""
    sums = resample_sums(np.stack([counts.errors, counts.reference_length], axis=1), seed, resamples)
    return 100.0 * sums[:, 0] / np.maximum(sums[:, 1], 1)


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """Return the 2.5 % and the 97.5 % quantile of the resampled values (percentile bootstrap)."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def _check_pairs(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if len(references) != len(hypotheses):
        raise ScoreError(f"score: expected one hypothesis per reference ({len(references)}), got {len(hypotheses)}")
    if not references:
        raise ScoreError("score: expected at least one utterance, got none")
