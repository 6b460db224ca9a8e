"""Greedy CTC on integer token ids: no probability is needed, so none is computed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from eval.errors import DecodeError

# SentencePiece marks the start of a word with this character; character vocabularies carry a plain space.
WORD_START = "\u2581"


def ctc_collapse(tokens: npt.NDArray[np.integer], blank: int) -> tuple[int, ...]:
    """B(tokens): runs of equal ids become one id, then blanks are dropped. Graves et al. 2006, section 3.1.

    tokens: integers [T], the best id of every frame. A blank between two equal ids keeps both. Empty input
    gives the empty tuple. Raises DecodeError when `tokens` is not a vector of integers.
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
    """Text of the best id of every frame [T]; the blank is the id after the vocabulary's last, as in NeMo.

    Raises DecodeError for an id outside 0..len(vocabulary).
    """
    blank = len(vocabulary)
    ids = ctc_collapse(tokens, blank)
    wrong = [i for i in ids if not 0 <= i < blank]
    if wrong:
        raise DecodeError(f"decode: expected ids in 0..{blank} (blank {blank}), got {wrong[0]}")
    return " ".join("".join(vocabulary[i] for i in ids).replace(WORD_START, " ").split())
