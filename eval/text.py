"""Normalisation of transcripts: only letters, digits, apostrophes and word boundaries are compared."""

from __future__ import annotations

import unicodedata

# Many corpora have a typographic or a modifier apostrophe in place of the ASCII one.
_APOSTROPHES = {"\u2019": "'", "\u02bc": "'", "\u2018": "'"}


def normalise(text: str) -> str:
    """Return `text` in lower case, with every character but letters, marks, digits and apostrophes made a space.

    Consecutive spaces become one, and words of apostrophes only are dropped:
    `Don\u2019t stop, well-known 3.5!` -> `don't stop well known 3 5`. Accents are kept in NFC form, so that different
    encodings of the same character compare equal. The function is idempotent. Numbers are not spelled out and
    abbreviations are not expanded; a corpus must do that itself.
    """
    folded = unicodedata.normalize("NFC", text.lower())
    kept = "".join(_keep(_APOSTROPHES.get(character, character)) for character in folded)
    return " ".join(word for word in kept.split() if word.strip("'"))


def _keep(character: str) -> str:
    if character == "'" or unicodedata.category(character)[0] in "LMN":
        return character
    return " "
