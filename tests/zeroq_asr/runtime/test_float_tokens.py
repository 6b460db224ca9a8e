"""The float model's best ids: the same in a padded batch as alone, at each utterance's own length."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from support.toy import toy_graph, toy_mel

from zeroq_asr.runtime.float_tokens import FloatTokens, batches_by_length

LENGTHS = (40, 7, 133, 40, 260, 12)
FEATURES = [toy_mel(number, 1, frames)[0] for number, frames in enumerate(LENGTHS)]


def test_a_batch_gives_what_each_utterance_gives_alone_in_the_given_order() -> None:
    source = FloatTokens(toy_graph(), threads=1)
    together = [row.tolist() for row in source.tokens(FEATURES)]
    assert together == [source.tokens([mel])[0].tolist() for mel in FEATURES]
    assert len({tuple(row) for row in together}) > 2  # otherwise the order would not be tested


def test_ids_have_each_utterance_s_own_length() -> None:
    ids = FloatTokens(toy_graph(), threads=1).tokens(FEATURES)
    assert [row.shape for row in ids] == [((frames - 1) // 2 + 1,) for frames in LENGTHS]


@given(st.lists(st.integers(1, 900), max_size=40), st.integers(1, 2000))
def test_batches_hold_every_index_once_and_are_bounded(lengths: list[int], most: int) -> None:
    batches = batches_by_length(lengths, most)
    assert sorted(index for batch in batches for index in batch) == list(range(len(lengths)))
    assert all(len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= most for batch in batches)
