from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eval.text import normalise


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hello, World!", "hello world"),
        ("don't", "don't"),
        ("don\u2019t", "don't"),
        ("  two\t spaces\n", "two spaces"),
        ("well-known 3.5", "well known 3 5"),
        ("' '", ""),
        ("", ""),
        ("Cafe\u0301", "caf\u00e9"),
        ("\u00c9T\u00c9", "\u00e9t\u00e9"),
        ("MISTER QUILTER IS THE APOSTLE", "mister quilter is the apostle"),
    ],
)
def test_examples(text: str, expected: str) -> None:
    assert normalise(text) == expected


@given(st.text())
def test_is_idempotent_and_leaves_single_spaces(text: str) -> None:
    once = normalise(text)
    assert normalise(once) == once
    assert once == " ".join(once.split())
