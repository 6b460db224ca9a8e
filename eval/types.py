"""Data types of evaluation: utterances, edit counts, scores, comparisons and reports. All are frozen."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

IntArray = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Utterance:
    """One line of a manifest: `duration_s` seconds of `audio_path`, from `offset_s` seconds into the file."""

    audio_path: Path
    duration_s: float
    text: str
    offset_s: float = 0.0


@dataclass(frozen=True, eq=False)
class EditCounts:
    """Substitutions, deletions, insertions and reference length of each utterance, int64 [N], read-only.

    The rate of a corpus is sum(S + D + I) / sum(reference length), not the mean of the rates of its utterances.
    """

    substitutions: IntArray
    deletions: IntArray
    insertions: IntArray
    reference_length: IntArray

    def __post_init__(self) -> None:
        for array in (self.substitutions, self.deletions, self.insertions, self.reference_length):
            array.setflags(write=False)

    @property
    def errors(self) -> IntArray:
        """S + D + I of each utterance, int64 [N]."""
        return self.substitutions + self.deletions + self.insertions

    @property
    def rate(self) -> float:
        """100 * sum(S + D + I) / sum(reference length), in percent; it may exceed 100."""
        return 100.0 * float(self.errors.sum()) / float(max(int(self.reference_length.sum()), 1))


@dataclass(frozen=True)
class Scores:
    """Error rates of one system on one set, in percent, each with its 95 % bootstrap interval.

    `words`, `characters`: length of the references. `substitutions`, `deletions`, `insertions`: of words, summed over
    the corpus. `exact`: percent of utterances without an error. `resamples`: of the bootstrap.
    """

    utterances: int
    words: int
    characters: int
    wer: float
    wer_low: float
    wer_high: float
    cer: float
    cer_low: float
    cer_high: float
    substitutions: int
    deletions: int
    insertions: int
    exact: float
    resamples: int


@dataclass(frozen=True)
class Comparison:
    """WER of a second system minus that of a first one on the same utterances, in points, with a paired 95 % interval.

    `difference` > 0: the second system is worse. `identical`: percent of utterances that both systems decode to the
    same text. `better`, `worse`: numbers of utterances on which the second system has fewer or more word errors.
    """

    difference: float
    low: float
    high: float
    identical: float
    better: int
    worse: int
    resamples: int

    @property
    def is_significant(self) -> bool:
        """Whether zero lies outside the interval."""
        return self.low > 0.0 or self.high < 0.0


@dataclass(frozen=True)
class EvalReport:
    """One row of an evaluation: a model on a set. `comparison` is None for the model that others are compared with.

    `bits`: "float32" or e.g. "W6A8". `size_bytes`: size of the model file. `seconds`: time the model computed.
    """

    model: str
    manifest: str
    backend: str
    bits: str
    size_bytes: int
    seconds: float
    scores: Scores
    comparison: Comparison | None = None

    def to_json(self) -> dict[str, str | int | float | bool | None]:
        """Return a flat dictionary: rates in percent, differences in points, unrounded."""
        row: dict[str, str | int | float | bool | None] = {
            "model": self.model,
            "manifest": self.manifest,
            "backend": self.backend,
            "bits": self.bits,
            "size_bytes": self.size_bytes,
            "seconds": self.seconds,
        }
        row.update(vars(self.scores))
        pair = self.comparison
        row["difference"] = None if pair is None else pair.difference
        row["difference_low"] = None if pair is None else pair.low
        row["difference_high"] = None if pair is None else pair.high
        row["difference_significant"] = None if pair is None else pair.is_significant
        row["decoded_identical"] = None if pair is None else pair.identical
        row["better"] = None if pair is None else pair.better
        row["worse"] = None if pair is None else pair.worse
        return row
