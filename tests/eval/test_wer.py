"""Error rates against hand counts, jiwer and a plain dynamic programme; intervals against enumeration."""

from __future__ import annotations

import itertools

import jiwer
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eval import wer as wer_module
from eval.errors import ScoreError
from eval.types import EditCounts
from eval.wer import bootstrap_rates, edit_counts, interval, resample_sums, score

TEXTS = st.lists(st.sampled_from(["on", "off", "lamp", "the", "a"]), max_size=7).map(" ".join)
PAIRS = st.lists(st.tuples(TEXTS, TEXTS), min_size=1, max_size=8)


def distance(a: list[str], b: list[str]) -> int:
    """Levenshtein distance by the textbook recurrence."""
    row = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        diagonal, row[0] = row[0], i
        for j, y in enumerate(b, 1):
            diagonal, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, diagonal + (x != y))
    return row[-1]


def counts_of(errors: list[int], lengths: list[int]) -> EditCounts:
    zero = np.zeros(len(errors), dtype=np.int64)
    return EditCounts(np.array(errors, dtype=np.int64), zero, zero, np.array(lengths, dtype=np.int64))


def test_hand_counted_corpus() -> None:
    references = ["turn the lamp on", "good night", "call nurse mary"]
    hypotheses = ["turn the lamp off", "", "please call nurse mary now"]
    scores = score(references, hypotheses)
    assert (scores.substitutions, scores.deletions, scores.insertions) == (1, 2, 2)
    assert scores.words == 9
    assert scores.wer == pytest.approx(100 * 5 / 9)
    # on -> off: n replaced, f inserted; "good night": 10 deleted; "please " 7 and " now" 4 inserted.
    assert scores.characters == 16 + 10 + 15
    assert scores.cer == pytest.approx(100 * (2 + 10 + 11) / 41)
    assert scores.exact == 0.0
    assert scores.utterances == 3


def test_case_and_punctuation_do_not_count() -> None:
    scores = score(["Don't stop, please."], ["don\u2019t stop please"])
    assert (scores.wer, scores.cer, scores.wer_low, scores.wer_high, scores.exact) == (0, 0, 0, 0, 100)


@given(PAIRS)
@settings(max_examples=150, deadline=None)
def test_counts_equal_jiwer_and_the_textbook(pairs: list[tuple[str, str]]) -> None:
    references, hypotheses = [r for r, _ in pairs], [h for _, h in pairs]
    counts = edit_counts(references, hypotheses)
    assert counts.errors.tolist() == [distance(r.split(), h.split()) for r, h in pairs]
    whole = jiwer.process_words(references, hypotheses)
    assert counts.substitutions.sum() == whole.substitutions
    assert counts.deletions.sum() == whole.deletions
    assert counts.insertions.sum() == whole.insertions
    if counts.reference_length.any():
        assert counts.rate == pytest.approx(100 * jiwer.wer(references, hypotheses))
        assert edit_counts(references, hypotheses, "characters").rate == pytest.approx(
            100 * jiwer.cer(references, hypotheses)
        )


def test_corpus_rate_is_not_the_mean_of_rates() -> None:
    assert score(["a", "b c d e"], ["x", "b c d e"]).wer == pytest.approx(20.0)


def test_rate_above_one_hundred() -> None:
    assert score(["a"], ["b c d"]).wer == pytest.approx(300.0)


def test_empty_reference_counts_insertions() -> None:
    assert score(["", "a b"], ["x", "a b"]).wer == pytest.approx(50.0)


def test_unscorable_input_is_refused() -> None:
    with pytest.raises(ScoreError, match="one hypothesis per reference"):
        score(["a"], [])
    with pytest.raises(ScoreError, match="at least one utterance"):
        score([], [])
    with pytest.raises(ScoreError, match="reference word"):
        score(["", "?"], ["a", "b"])
    with pytest.raises(ScoreError, match="1000 resamples"):
        score(["a"], ["a"], resamples=999)


def test_counts_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        edit_counts(["a"], ["b"]).substitutions[0] = 7


def test_bootstrap_distribution_equals_enumeration() -> None:
    """Three utterances have 27 equally likely resamples: every rate must come up as often as it should."""
    errors, lengths = [0, 1, 3], [2, 4, 5]
    exact: dict[float, float] = {}
    for draw in itertools.product(range(3), repeat=3):
        rate = round(100 * sum(errors[i] for i in draw) / sum(lengths[i] for i in draw), 9)
        exact[rate] = exact.get(rate, 0.0) + 1 / 27
    resamples = 60_000
    rates = np.round(bootstrap_rates(counts_of(errors, lengths), seed=3, resamples=resamples), 9)
    found, times = np.unique(rates, return_counts=True)
    assert sorted(exact) == pytest.approx(found.tolist())
    expected = np.array([exact[k] for k in sorted(exact)])
    # Five standard deviations of a binomial count.
    assert np.all(np.abs(times / resamples - expected) < 5 * np.sqrt(expected * (1 - expected) / resamples))


def test_interval_matches_the_closed_form_of_the_mean() -> None:
    """Equal lengths: the resampled rate is a mean, of variance var(errors) / N, nearly normal at N = 400."""
    rng = np.random.default_rng(0)
    errors = rng.integers(0, 5, 400)
    rates = bootstrap_rates(counts_of(errors.tolist(), [10] * 400), seed=1, resamples=20_000)
    mean, deviation = 10 * errors.mean(), 10 * errors.std() / np.sqrt(400)
    low, high = interval(rates)
    assert low == pytest.approx(mean - 1.96 * deviation, abs=0.1 * deviation)
    assert high == pytest.approx(mean + 1.96 * deviation, abs=0.1 * deviation)


def test_interval_is_reproducible_and_seeded() -> None:
    references = [f"a b c {i}" for i in range(30)]
    hypotheses = ["a b c 1" if i % 3 else "a x c" for i in range(30)]
    assert score(references, hypotheses, seed=5) == score(references, hypotheses, seed=5)
    assert score(references, hypotheses, seed=5) != score(references, hypotheses, seed=6)
    scores = score(references, hypotheses, seed=5)
    assert scores.wer_low < scores.wer < scores.wer_high


def test_resamples_do_not_depend_on_the_chunk(monkeypatch: pytest.MonkeyPatch) -> None:
    columns = np.arange(22, dtype=np.int64).reshape(11, 2)
    whole = resample_sums(columns, seed=2, resamples=1000)
    monkeypatch.setattr(wer_module, "_INDICES_AT_A_TIME", 77)
    assert np.array_equal(resample_sums(columns, seed=2, resamples=1000), whole)


def test_every_column_sees_the_same_draw() -> None:
    column = np.arange(9, dtype=np.int64)
    sums = resample_sums(np.stack([column, 3 * column], axis=1), seed=0, resamples=1000)
    assert np.array_equal(3 * sums[:, 0], sums[:, 1])
    assert sums[:, 0].std() > 0
