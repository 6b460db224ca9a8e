from __future__ import annotations

import itertools

import numpy as np
import pytest

from eval.compare import compare, compare_methods, compare_runs
from eval.errors import ScoreError
from eval.wer import score

REFERENCES = [f"number {i} is here" for i in range(40)]
WORSE = [r if i % 4 else "number is" for i, r in enumerate(REFERENCES)]


def test_identical_systems_differ_by_exactly_nothing() -> None:
    pair = compare(REFERENCES, WORSE, WORSE)
    assert (pair.difference, pair.low, pair.high, pair.identical, pair.better, pair.worse) == (
        0,
        0,
        0,
        100,
        0,
        0,
    )
    assert not pair.is_significant


def test_sign_a_worse_second_system_is_positive() -> None:
    pair = compare(REFERENCES, REFERENCES, WORSE)
    assert pair.difference == pytest.approx(score(REFERENCES, WORSE).wer)
    assert 0 < pair.low < pair.difference < pair.high
    assert pair.is_significant
    assert (pair.worse, pair.better, pair.identical) == (10, 0, 75.0)


def test_swapping_the_systems_mirrors_everything() -> None:
    pair, mirror = (
        compare(REFERENCES, REFERENCES, WORSE, seed=4),
        compare(REFERENCES, WORSE, REFERENCES, seed=4),
    )
    assert mirror.difference == pytest.approx(-pair.difference)
    assert (mirror.low, mirror.high) == pytest.approx((-pair.high, -pair.low))
    assert (mirror.worse, mirror.better) == (pair.better, pair.worse)
    assert pair.is_significant and mirror.is_significant


def test_the_paired_interval_is_narrower_than_either_system_s_own() -> None:
    rng = np.random.default_rng(1)
    first = [r if rng.random() < 0.5 else "" for r in REFERENCES]
    second = [t.replace("here", "there") if i == 7 else t for i, t in enumerate(first)]
    pair, own = compare(REFERENCES, first, second), score(REFERENCES, first)
    assert pair.high - pair.low < (own.wer_high - own.wer_low) / 3


def test_equals_enumeration_on_two_utterances() -> None:
    # Second system: one error more on the first utterance (2 words), none on the second (3 words).
    pair = compare(["a b", "c d e"], ["a b", "c d x"], ["a x", "c d x"], resamples=20_000)
    assert pair.difference == pytest.approx(20.0)
    exact = [
        100 * sum(1 - i for i in draw) / sum((2, 3)[i] for i in draw) for draw in itertools.product((0, 1), repeat=2)
    ]
    assert (pair.low, pair.high) == pytest.approx((min(exact), max(exact)))


def test_identical_is_judged_after_normalisation() -> None:
    assert compare(["yes"], ["Yes."], ["yes"]).identical == 100.0


def test_lists_of_different_length_are_refused() -> None:
    with pytest.raises(ScoreError, match="both systems"):
        compare(["a"], ["a"], [])
    with pytest.raises(ScoreError, match="per reference"):
        compare(["a", "b"], ["a"], ["a"])
    with pytest.raises(ScoreError, match="at least one"):
        compare([], [], [])


# ---- several runs of one method -----------------------------------------------------------------------------------


def test_one_run_has_the_interval_of_a_pair() -> None:
    assert compare_runs(REFERENCES, REFERENCES, [WORSE], seed=3) == compare(REFERENCES, REFERENCES, WORSE, seed=3)


def test_several_runs_give_their_mean_and_a_wider_interval_when_they_differ() -> None:
    pair = compare(REFERENCES, REFERENCES, WORSE)
    same = compare_runs(REFERENCES, REFERENCES, [WORSE, WORSE, WORSE])
    mixed = compare_runs(REFERENCES, REFERENCES, [REFERENCES, WORSE, REFERENCES, WORSE])
    assert same.difference == pytest.approx(pair.difference)
    assert (same.low, same.high) == pytest.approx((pair.low, pair.high))
    assert mixed.difference == pytest.approx(pair.difference / 2)
    assert mixed.identical == pytest.approx((100 + pair.identical) / 2)
    assert mixed.low == 0.0 and mixed.high > pair.difference  # all four runs perfect, or none: both are drawn


def test_runs_of_other_lengths_are_refused() -> None:
    with pytest.raises(ScoreError, match="40 texts"):
        compare_runs(REFERENCES, REFERENCES, [WORSE, WORSE[:3]])
    with pytest.raises(ScoreError, match="at least one run"):
        compare_runs(REFERENCES, REFERENCES, [])


def test_two_methods_are_compared_seed_by_seed() -> None:
    references = ["a b c d", "e f g h"] * 20
    good, bad = list(references), ["a b c x", "e f g h"] * 20
    worse = compare_methods(references, [good, bad], [bad, bad])
    assert worse.difference == pytest.approx(100 * 20 / 160 / 2)  # one of two runs loses a word in eight
    assert worse.low >= 0 and worse.identical == 75.0 and (worse.better, worse.worse) == (0, 20)
    assert compare_methods(references, [bad], [good]).high < 0
    same = compare_methods(references, [good, bad], [good, bad])
    assert (same.difference, same.low, same.high, same.identical) == (0.0, 0.0, 0.0, 100.0)
    assert compare_methods(references, [good] * 2, [good, bad]) == compare_runs(references, good, [good, bad])


@pytest.mark.parametrize(("first", "second"), [([], []), ([["a"]], [["a"], ["a"]]), ([["a"]], [["a", "b"]])])
def test_methods_with_other_numbers_of_runs_are_refused(first: list[list[str]], second: list[list[str]]) -> None:
    with pytest.raises(ScoreError, match="compare_methods"):
        compare_methods(["a"], first, second)
