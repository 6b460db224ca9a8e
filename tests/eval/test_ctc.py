from __future__ import annotations

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.ctc import ctc_collapse, decode
from eval.errors import DecodeError

BLANK = 4
IDS = st.lists(st.integers(0, BLANK), max_size=60)


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [([], ()), ([4, 4], ()), ([0, 0, 1], (0, 1)), ([0, 4, 0], (0, 0)), ([4, 2, 2, 4, 4, 2, 3], (2, 2, 3))],
)
def test_examples(tokens: list[int], expected: tuple[int, ...]) -> None:
    assert ctc_collapse(np.array(tokens, dtype=np.int32), BLANK) == expected


@given(IDS)
def test_equals_the_definition(tokens: list[int]) -> None:
    expected = tuple(key for key, _ in groupby(tokens) if key != BLANK)
    assert ctc_collapse(np.array(tokens, dtype=np.int32), BLANK) == expected


@given(st.lists(st.integers(0, BLANK - 1), max_size=30))
def test_what_a_blank_separates_survives(labels: list[int]) -> None:
    separated = [i for label in labels for i in (label, BLANK)]
    assert ctc_collapse(np.array(separated, dtype=np.int64), BLANK) == tuple(labels)


@given(IDS, st.integers(1, 4))
def test_slower_speech_says_the_same(tokens: list[int], times: int) -> None:
    ids = np.array(tokens, dtype=np.int32)
    assert ctc_collapse(np.repeat(ids, times), BLANK) == ctc_collapse(ids, BLANK)


@given(IDS)
def test_blanks_at_the_ends_say_nothing(tokens: list[int]) -> None:
    padded = np.array([BLANK, *tokens, BLANK, BLANK], dtype=np.int32)
    assert ctc_collapse(padded, BLANK) == ctc_collapse(np.array(tokens, dtype=np.int32), BLANK)


@given(IDS, st.integers(0, 59))
def test_a_blank_between_two_utterances_joins_their_labels(tokens: list[int], cut: int) -> None:
    left, right = tokens[:cut], tokens[cut:]
    joined = ctc_collapse(np.array([*left, BLANK, *right], dtype=np.int32), BLANK)
    assert joined == ctc_collapse(np.array(left, dtype=int), BLANK) + ctc_collapse(np.array(right, dtype=int), BLANK)


def test_decode_uses_the_id_after_the_vocabulary_as_blank() -> None:
    vocabulary = (" ", "a", "b")
    assert decode(np.array([1, 1, 3, 1, 0, 0, 2, 3], dtype=np.int32), vocabulary) == "aa b"
    assert decode(np.array([0, 0, 3], dtype=np.int32), vocabulary) == ""


def test_decode_reads_sentencepiece_word_starts() -> None:
    assert decode(np.array([0, 1, 2], dtype=np.int32), ("\u2581the", "\u2581ca", "t")) == "the cat"


@pytest.mark.parametrize("tokens", [[5], [-1], [0, 4]])
def test_decode_refuses_foreign_ids(tokens: list[int]) -> None:
    with pytest.raises(DecodeError, match=r"expected ids in 0\.\.3"):
        decode(np.array(tokens, dtype=np.int32), ("a", "b", "c"))


def test_collapse_refuses_what_is_not_a_vector_of_integers() -> None:
    for wrong in (np.zeros((2, 2), dtype=np.int32), np.zeros(3, dtype=np.float32), np.int32(3)):
        with pytest.raises(DecodeError, match="integer ids"):
            ctc_collapse(wrong, BLANK)  # type: ignore[arg-type]
