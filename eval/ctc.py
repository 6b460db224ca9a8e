"""Greedy CTC decoding of integer token ids; probabilities are not needed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eval.errors import DecodeError

# SentencePiece marks the start of a word with this character; character vocabularies have a space.
WORD_START = "\u2581"


def ctc_collapse(tokens: npt.NDArray[np.integer], blank: int) -> tuple[int, ...]:
    """Return B(tokens): runs of equal ids become one id, then blanks are dropped (Graves et al. 2006, section 3.1).

    tokens: integers [T], the best id of every frame. Two equal ids with a blank between them are both kept. Empty input
    gives an empty tuple. Raises DecodeError if `tokens` is not a vector of integers.
    """
    ids = np.asarray(tokens)
    if ids.ndim != 1 or (ids.size and ids.dtype.kind not in "iu"):
        raise DecodeError(f"ctc_collapse: expected integer ids of shape [T], got {ids.dtype} {list(ids.shape)}")
    if ids.size == 0:
        return ()
    first_of_run = np.ones(ids.size, dtype=bool)
    first_of_run[1:] = ids[1:] != ids[:-1]
    return tuple(int(i) for i in ids[first_of_run & (ids != blank)])


def decode(tokens: npt.NDArray[np.integer], vocabulary: Sequence[str]) -> str:
    """Return the text of the best ids [T]; the blank is the id after the last of the vocabulary, as in NeMo.

    Raises DecodeError for an id outside 0..len(vocabulary).
    """
    blank = len(vocabulary)
    ids = ctc_collapse(tokens, blank)
    wrong = [i for i in ids if not 0 <= i < blank]
    if wrong:
        raise DecodeError(f"decode: expected ids in 0..{blank} (blank {blank}), got {wrong[0]}")
    return " ".join("".join(vocabulary[i] for i in ids).replace(WORD_START, " ").split())
