"""CTC beam search with a word lexicon and an n-gram language model, by flashlight-text (the extra `lm`)."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Sequence
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from eval.capture_stdio import capture_stdio
from eval.ctc import WORD_START
from eval.errors import DecodeError

BEAM = 100
LM_WEIGHT = 1.5
"""Weight of log10 p(word | history) against the natural log-probabilities of CTC."""
WORD_SCORE = 0.0
_THRESHOLD = 50.0
_MAX_ARPA_BYTES = 8 << 30
_PROGRESS = ("Loading the LM will be faster", "Reading ", "----5---10---")
"""Prefixes of the progress lines that KenLM writes for every file."""


def has_beam_search() -> bool:
    """Return whether flashlight-text is installed."""
    try:
        return find_spec("flashlight.lib.text") is not None
    except ModuleNotFoundError:
        return False


class BeamDecoder:
    """Beam search for argmax over word sequences W of log p_CTC(W) + LM_WEIGHT log10 p_LM(W) + WORD_SCORE |W|.

    vocabulary: V text pieces; the blank is id V. arpa: n-gram file; its unigrams are the possible words.
    Spelling of a word: if all pieces are single characters, letter by letter with a space at the end. Otherwise the
    first piece begins with a space, and the pieces come from byte-pair merges in the order of the vocabulary (as in
    SentencePiece's BPE); if the longest matching pieces give another spelling, that one is allowed, too.
    Raises DecodeError: flashlight-text missing, file unreadable, no word of the language model can be spelled.
    """

    def __init__(self, vocabulary: Sequence[str], arpa: Path, beam: int = BEAM, lm_weight: float = LM_WEIGHT) -> None:
        if not has_beam_search():
            raise DecodeError(
                "beam search: expected flashlight-text, it is not installed; run `pip install 'zeroq-asr[lm]'`"
            )
        from flashlight.lib.text import decoder as flashlight
        from flashlight.lib.text.decoder.kenlm import KenLM
        from flashlight.lib.text.dictionary import Dictionary

        self._pieces = [piece.replace(WORD_START, " ") for piece in vocabulary]
        letters = all(len(piece) <= 1 for piece in self._pieces)  # else a word begins with a piece of its own
        self._space = self._pieces.index(" ") if letters and " " in self._pieces else None
        self._ids = {piece: index for index, piece in reversed(list(enumerate(self._pieces))) if piece}
        spelled = {word: ways for word in read_words(arpa) if (ways := self._spell(word))}
        if not spelled:
            raise DecodeError(f"{arpa}: expected words that the model's {len(vocabulary)} pieces can spell, got none")
        self._words = Dictionary()
        for word in spelled:
            self._words.add_entry(word)
        try:
            with capture_stdio(2) as lines:  # KenLM has no option to suppress its progress lines
                model = KenLM(str(arpa), self._words)
        except RuntimeError as error:
            raise DecodeError(
                f"{arpa}: not an n-gram model that KenLM reads (...{str(error).strip()[-200:]})"
            ) from error
        for line in warnings_of(lines):
            logging.getLogger(__name__).warning("%s: KenLM: %s", arpa, line)
        blank = len(vocabulary)
        silence = blank if self._space is None else self._space
        trie, start = flashlight.Trie(blank + 1, silence), model.start(False)
        for word, ways in spelled.items():
            index = self._words.get_index(word)
            _, score = model.score(start, index)
            for ids in ways:
                trie.insert(ids, index, score)
        trie.smear(flashlight.SmearingMode.MAX)
        options = flashlight.LexiconDecoderOptions(
            beam, blank + 1, _THRESHOLD, lm_weight, WORD_SCORE, float("-inf"), 0.0, False, flashlight.CriterionType.CTC
        )
        self._decoder: Any = flashlight.LexiconDecoder(options, trie, model, silence, blank, -1, [], False)

    def decode(self, logits: npt.NDArray[np.floating[Any]]) -> str:
        """Return the best text for logits or log-probabilities [V + 1, T]; empty if there is no possible word."""
        frames = log_softmax(np.asarray(logits, dtype=np.float64)).T  # [T, V + 1]
        if self._space is not None:  # a space ends the last word
            last = np.full((1, frames.shape[1]), -_THRESHOLD)
            last[0, self._space] = 0.0
            frames = np.concatenate([frames, last])
        emissions = np.ascontiguousarray(frames, dtype=np.float32)
        found = self._decoder.decode(emissions.ctypes.data, *emissions.shape)
        words = [self._words.get_entry(index) for index in found[0].words if index >= 0] if found else []
        return " ".join(words)

    def _spell(self, word: str) -> list[list[int]]:
        """Return the spellings of a word as ids; empty if it cannot be spelled."""
        if self._space is not None:
            ids = [self._ids.get(letter, -1) for letter in word]
            return [] if -1 in ids else [[*ids, self._space]]
        merged, longest = self._merge(" " + word), self._longest(" " + word)
        return [ids for ids in ((merged,) if merged == longest else (merged, longest)) if ids]

    def _merge(self, text: str) -> list[int]:
        """Return the ids after byte-pair merges: merge the neighbours that form the first piece of the vocabulary.

        This is repeated until no two neighbours form a piece.
        """
        parts = list(text)
        while True:
            pairs = [(self._ids[a + b], at) for at, (a, b) in enumerate(pairwise(parts)) if a + b in self._ids]
            if not pairs:
                break
            _, at = min(pairs)
            parts[at : at + 2] = [parts[at] + parts[at + 1]]
        ids = [self._ids.get(part, -1) for part in parts]
        return [] if -1 in ids else ids

    def _longest(self, text: str) -> list[int]:
        """Return the ids of the longest matching pieces, from left to right."""
        ids = []
        while text:
            ends = [end for end in range(len(text), 0, -1) if text[:end] in self._ids]
            if not ends:
                return []
            ids.append(self._ids[text[: ends[0]]])
            text = text[ends[0] :]
        return ids


def warnings_of(lines: Iterable[str]) -> list[str]:
    """Return KenLM's messages about the file, without its progress lines (a row of stars)."""
    stripped = (line.lstrip("*").strip() for line in lines)
    return [line for line in stripped if line and not line.startswith(_PROGRESS)]


def log_softmax(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return x - log sum exp x over the first axis of x [V + 1, T]."""
    shifted = logits - logits.max(axis=0)
    result: npt.NDArray[np.float64] = shifted - np.log(np.exp(shifted).sum(axis=0))
    return result


def read_words(arpa: Path) -> list[str]:
    """Return the unigrams of an ARPA file without marks such as <s>. Raises DecodeError."""
    try:
        if arpa.stat().st_size > _MAX_ARPA_BYTES:
            raise DecodeError(f"{arpa}: expected at most {_MAX_ARPA_BYTES:,} bytes, got more")
        with arpa.open(encoding="utf-8") as stream:
            words = list(_unigrams(stream))
    except (OSError, UnicodeDecodeError) as error:
        raise DecodeError(f"{arpa}: expected an n-gram model in ARPA format, could not read it ({error})") from error
    if not words:
        raise DecodeError(f"{arpa}: expected an n-gram model in ARPA format, found no unigrams")
    return words


def _unigrams(lines: Iterable[str]) -> Iterator[str]:
    inside = False
    for line in lines:
        if line.startswith("\\"):
            if inside:
                return
            inside = line.strip() == "\\1-grams:"
        elif inside and len(fields := line.split()) >= 2 and not fields[1].startswith("<"):
            yield fields[1]
