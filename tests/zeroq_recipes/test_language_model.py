"""The 3-gram model: probabilities that sum to one, a hand-computed case, the reading of others."""

from __future__ import annotations

import math
from itertools import islice
from pathlib import Path

import pytest

from zeroq_recipes.voice_commands.grammar import sentences, split_of
from zeroq_recipes.voice_commands.language_model import BEGIN, END, UNKNOWN, LanguageModel, corpus_model, estimate, main


@pytest.fixture(scope="module")
def corpus() -> LanguageModel:
    return corpus_model(400)


@pytest.mark.parametrize("history", [(BEGIN,), (BEGIN, "turn"), ("turn", "on"), ("the",), ("nonsense", "words"), ()])
def test_probabilities_sum_to_one(corpus: LanguageModel, history: tuple[str, ...]) -> None:
    words = [gram[0] for gram in corpus.orders[0] if gram[0] != BEGIN]
    assert {UNKNOWN, END} <= set(words)
    assert sum(10 ** corpus.log10(word, history) for word in words) == pytest.approx(1.0, abs=1e-9)


def test_a_case_computed_by_hand() -> None:
    model = estimate(["a b", "a c"], order=2)
    # Bigrams: <s> a twice; a b, a c, b </s>, c </s> once. n1 = 4, n2 = 1: D = 4 / 6. Unigrams count what came before:
    # a 1, b 1, c 1, </s> 2 of 5. n1 = 3, n2 = 1: D = 3 / 5; V = 5 with </s> and <unk>.
    unigram = {w: (n - 0.6) / 5 + 0.6 * 4 / 5 / 5 for w, n in {"a": 1, "b": 1, "c": 1, END: 2}.items()}
    assert 10 ** model.log10("b", ()) == pytest.approx(unigram["b"])
    assert 10 ** model.log10(END, ()) == pytest.approx(unigram[END])
    assert 10 ** model.log10(UNKNOWN, ()) == pytest.approx(0.6 * 4 / 5 / 5)
    backoff = (4 / 6) * 2 / 2
    assert 10 ** model.log10("b", ("a",)) == pytest.approx((1 - 4 / 6) / 2 + backoff * unigram["b"])
    assert 10 ** model.log10("a", ("a",)) == pytest.approx(backoff * unigram["a"])


def test_it_prefers_what_the_corpus_says(corpus: LanguageModel) -> None:
    text = next(islice(sentences("train", 5), 1)).split()
    forward = sum(corpus.log10(w, [BEGIN, *text[:i]]) for i, w in enumerate(text))
    backward = sum(corpus.log10(w, [BEGIN, *text[::-1][:i]]) for i, w in enumerate(text[::-1]))
    assert forward > backward


def test_no_test_sentence_enters() -> None:
    assert {split_of(text) for text in islice(sentences("train", 0), 400)} == {"train"}


def test_kenlm_reads_the_file_and_agrees(corpus: LanguageModel, tmp_path: Path) -> None:
    kenlm = pytest.importorskip("flashlight.lib.text.decoder.kenlm")
    from flashlight.lib.text.dictionary import Dictionary

    path = tmp_path / "corpus.arpa"
    path.write_text(corpus.to_arpa())
    words = Dictionary()
    for gram in corpus.orders[0]:
        words.add_entry(gram[0])
    model = kenlm.KenLM(str(path), words)
    state, history = model.start(False), [BEGIN]
    for word in ("turn", "on", "the", "oven", "in", "qqq", "the", "kitchen"):
        state, score = model.score(state, words.get_index(word if (word,) in corpus.orders[0] else UNKNOWN))
        assert score == pytest.approx(corpus.log10(word, history), abs=1e-4)
        history.append(word)
    assert model.finish(state)[1] == pytest.approx(corpus.log10(END, history), abs=1e-4)


def test_the_recipe_writes_the_same_file_twice(tmp_path: Path) -> None:
    for name in ("a", "b"):
        assert main(["--sentences", "50", "--output", str(tmp_path / name)]) == 0
    text = (tmp_path / "a").read_text()
    assert text == (tmp_path / "b").read_text()
    assert text.startswith("\n\\data\\\nngram 1=") and text.endswith("\\end\\\n")
    (count,) = [int(line.split("=")[1]) for line in text.splitlines() if line.startswith("ngram 3=")]
    lines = text.split("\\3-grams:\n")[1].split("\n\n")[0].splitlines()
    assert len(lines) == count and all(math.isfinite(float(line.split("\t")[0])) for line in lines)


def test_empty_text_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one word"):
        estimate(["", "  "])
