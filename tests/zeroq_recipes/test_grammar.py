from __future__ import annotations

import itertools
import re

from zeroq_recipes.voice_commands.corpus import DEV, TEST_SETS, shard_texts, texts_of_set, training_shards
from zeroq_recipes.voice_commands.grammar import number_words, sentences, split_of, vocabulary
from zeroq_recipes.voice_commands.lexicon import LEXICON


def test_the_grammar_writes_at_least_a_thousand_words_with_the_models_letters_only() -> None:
    words = vocabulary()
    assert len(words) >= 1000
    assert all(re.fullmatch(r"[a-z']+", word) for word in words)


def test_every_word_claimed_is_written_and_none_else() -> None:
    written = {word for text in itertools.islice(sentences("train", 5), 60_000) for word in text.split()}
    assert written <= vocabulary()
    assert len(vocabulary() - written) <= 5


def test_no_category_lists_a_term_twice() -> None:
    assert {name: len(terms) - len(set(terms)) for name, terms in LEXICON.items()} == dict.fromkeys(LEXICON, 0)


def test_the_same_seed_gives_the_same_sentences_and_another_seed_others() -> None:
    def first(seed: int) -> list[str]:
        return list(itertools.islice(sentences("train", seed), 50))

    assert first(1) == first(1) != first(2)


def test_a_split_yields_only_its_own_sentences() -> None:
    for split in ("train", "dev", "test"):
        assert {split_of(text) for text in itertools.islice(sentences(split, 3), 200)} == {split}


def test_training_and_dev_texts_share_no_sentence_with_the_test_sets() -> None:
    held_out = {text for name in TEST_SETS for text in texts_of_set(name, 260, 0)}
    assert len(held_out) == 520, "the two sets share no sentence either"
    for spec in (DEV, *training_shards()):
        assert held_out.isdisjoint(shard_texts(spec, 0)), spec.name


def test_numbers_in_words() -> None:
    assert [number_words(n) for n in (0, 13, 20, 42, 100, 731)] == [
        "zero",
        "thirteen",
        "twenty",
        "forty two",
        "one hundred",
        "seven hundred thirty one",
    ]
