"""What two transcripts must share to count as equal: letters, digits, apostrophes and word boundaries."""

from __future__ import annotations

import unicodedata

# The typographic and the modifier apostrophe stand for the plain one in many corpora.
_APOSTROPHES = {"\u2019": "'", "\u02bc": "'", "\u2018": "'"}


def normalise(text: str) -> str:
    """lower case; every character but letters, marks, digits, apostrophes becomes a space; spaces collapse.

    `Don\u2019t stop, well-known 3.5!` -> `don't stop well known 3 5`. Accents are kept, in NFC, so that
    one written as one or as two code points compares equal. Words made of apostrophes alone vanish. The
    function is idempotent. Numbers are not spelled out, nor abbreviations expanded: that is the corpus' affair.
    """
    folded = unicodedata.normalize("NFC", text.lower())
    kept = "".join(_keep(_APOSTROPHES.get(character, character)) for character in folded)
    return " ".join(word for word in kept.split() if word.strip("'"))


def _keep(character: str) -> str:
    if character == "'" or unicodedata.category(character)[0] in "LMN":
        return character
    return " "
