"""Beam search with a language model: it writes only its words, prefers likely ones, and says what it misses."""

from __future__ import annotations

import logging
import os
from pathlib import Path

import numpy as np
import pytest

from eval import beam
from eval.beam import BeamDecoder, log_softmax, read_words
from eval.errors import DecodeError

LETTERS = (" ", *"abcdeghnort")
ARPA = """
\\data\\
ngram 1=6
ngram 2=3

\\1-grams:
-99\t<s>\t0.0
-1.0\t</s>
-2.0\t<unk>
-1.0\tred\t0.0
-0.5\tbed\t0.0
-1.0\tcar\t0.0

\\2-grams:
-0.1\t<s> red
-0.1\tred car
-0.1\tcar </s>

\\end\\
"""


@pytest.fixture
def arpa(tmp_path: Path) -> Path:
    path = tmp_path / "toy.arpa"
    path.write_text(ARPA)
    return path


def logits_of(text: str, pieces: tuple[str, ...], doubt: dict[int, dict[str, float]] | None = None) -> np.ndarray:
    """Logits [V + 1, 2 N] of a text, piece and blank in turn; `doubt` gives scores to other pieces at a position."""
    logits = np.zeros((len(pieces) + 1, 2 * len(text)))
    for place, letter in enumerate(text):
        logits[pieces.index(letter), 2 * place] = 8.0
        logits[-1, 2 * place + 1] = 8.0
        for other, value in (doubt or {}).get(place, {}).items():
            logits[pieces.index(other), 2 * place] = value
    return logits


def test_words_of_an_arpa_file_come_without_its_marks(arpa: Path) -> None:
    assert read_words(arpa) == ["red", "bed", "car"]


def test_log_softmax_sums_to_one_even_for_large_logits() -> None:
    assert np.exp(log_softmax(np.array([[900.0], [901.0]]))).sum() == pytest.approx(1.0)


def test_the_model_decides_between_what_sounds_alike(arpa: Path) -> None:
    pytest.importorskip("flashlight.lib.text")
    clear = logits_of("red car", LETTERS)
    unclear = logits_of("bed car", LETTERS, {0: {"r": 7.8}})  # a little more "bed" than "red"
    decoder = BeamDecoder(LETTERS, arpa)
    assert decoder.decode(clear) == "red car"
    assert decoder.decode(unclear) == "red car"
    assert BeamDecoder(LETTERS, arpa, lm_weight=0.0).decode(unclear) == "bed car"


def test_only_words_of_the_model_are_written(arpa: Path) -> None:
    pytest.importorskip("flashlight.lib.text")
    assert BeamDecoder(LETTERS, arpa).decode(logits_of("rad car", LETTERS)) == "red car"


PIECES = ("<unk>", "ar", "ed", "\u2581r", "\u2581ca", "\u2581", "r", "e", "d", "c", "a", "b")


@pytest.mark.parametrize("spelling", ["\u2581r ed \u2581 c ar", "\u2581r ed \u2581ca r"])
def test_sub_words_are_spelled_by_merges_and_with_the_longest_pieces(arpa: Path, spelling: str) -> None:
    """ " car": "ar" is merged first, so that " ca" never comes to be; from left to right " ca" is the longest."""
    pytest.importorskip("flashlight.lib.text")
    pieces = spelling.split(" ")
    logits = np.zeros((len(PIECES) + 1, 2 * len(pieces)))
    for place, piece in enumerate(pieces):
        logits[PIECES.index(piece), 2 * place] = logits[-1, 2 * place + 1] = 8.0
    assert BeamDecoder(PIECES, arpa).decode(logits) == "red car"


def test_what_cannot_work_is_said(arpa: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for text in ("", "no model at all", "\\data\\\n\\1-grams:\n\\end\\"):
        (tmp_path / "bad.arpa").write_text(text)
        with pytest.raises(DecodeError, match="ARPA"):
            read_words(tmp_path / "bad.arpa")
    with pytest.raises(DecodeError, match="ARPA"):
        read_words(tmp_path / "missing.arpa")
    monkeypatch.setattr(beam, "has_beam_search", lambda: False)
    with pytest.raises(DecodeError, match=r"pip install 'zeroq-asr\[lm\]'"):
        BeamDecoder(LETTERS, arpa)


def test_loading_is_silent_but_for_what_is_wrong_with_the_file(
    arpa: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    pytest.importorskip("flashlight.lib.text")
    caplog.set_level(logging.WARNING, logger="eval.beam")  # NeMo, in the same process, may have raised the root's
    BeamDecoder(LETTERS, arpa)
    assert capfd.readouterr() == ("", "") and not caplog.messages
    arpa.write_text(ARPA.replace("-2.0\t<unk>\n", "").replace("ngram 1=6", "ngram 1=5"))
    BeamDecoder(LETTERS, arpa)
    (message,) = caplog.messages
    assert message.startswith(f"{arpa}: KenLM: The ARPA file is missing <unk>.")
    arpa.write_text(ARPA.replace("ngram 2=3", "ngram 2=4"))
    with pytest.raises(DecodeError, match="2-gram"):
        BeamDecoder(LETTERS, arpa)
    assert capfd.readouterr() == ("", "")
    os.write(2, b"after\n")
    assert capfd.readouterr().err == "after\n"


def test_a_vocabulary_that_spells_no_word_is_refused(arpa: Path) -> None:
    pytest.importorskip("flashlight.lib.text")
    with pytest.raises(DecodeError, match="can spell"):
        BeamDecoder((" ", "x"), arpa)
