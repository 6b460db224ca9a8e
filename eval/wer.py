"""Word and character error rates of a corpus, by jiwer, with bootstrap intervals over utterances."""

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
# Bounds the memory of a resampling step: this many int64 indices are drawn at a time.
_INDICES_AT_A_TIME = 1 << 21


def edit_counts(references: Sequence[str], hypotheses: Sequence[str], unit: str = "words") -> EditCounts:
    """Edit counts of each utterance by jiwer's alignment, `unit` "words" or "characters" (a space is one).

    The texts are taken as they are (see `eval.text.normalise`). An empty hypothesis deletes its whole
    reference; an empty reference makes every word of the hypothesis an insertion. Raises ScoreError when the
    two lists differ in length or are empty.
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
    """WER = sum(S + D + I) / sum(N) over the corpus, CER likewise, in percent, with 95 % intervals.

    Both sides are normalised first (`eval.text.normalise`). The same seed gives the same interval to the last
    digit. Raises ScoreError for lists of different or zero length, or when no reference has a word.
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
    """sum over a resample of each column: int64 [N, K] -> int64 [resamples, K].

    A resample draws N utterances with replacement; all columns see the same draw, which is what pairs two
    systems. Bisani and Ney 2004, "Bootstrap estimates for confidence intervals in ASR performance
    evaluation".
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
    """Rate of each resample of the utterances, percent, float64 [resamples]."""
    sums = resample_sums(np.stack([counts.errors, counts.reference_length], axis=1), seed, resamples)
    return 100.0 * sums[:, 0] / np.maximum(sums[:, 1], 1)


def interval(values: npt.NDArray[np.float64]) -> tuple[float, float]:
    """The 2.5 % and the 97.5 % quantile of the resampled values (percentile bootstrap)."""
    tail = (1.0 - CONFIDENCE) / 2.0
    low, high = np.quantile(values, [tail, 1.0 - tail])
    return float(low), float(high)


def _check_pairs(references: Sequence[str], hypotheses: Sequence[str]) -> None:
    if len(references) != len(hypotheses):
        raise ScoreError(f"score: expected one hypothesis per reference ({len(references)}), got {len(hypotheses)}")
    if not references:
        raise ScoreError("score: expected at least one utterance, got none")
