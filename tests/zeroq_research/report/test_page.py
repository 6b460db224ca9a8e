"""The web page: it needs nothing from outside and takes no text for markup."""

from __future__ import annotations

import re

from zeroq_research.report.page import Section, page, paragraph, picture, plots


def test_the_page_loads_nothing() -> None:
    text = page(
        "t", "i", [Section("h", picture(b"\x89PNG", ["<b>caption"], 'a "quoted" word') + plots(["<svg></svg>"]))]
    )
    assert not re.search(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)", text.replace("data:image/png;base64,", ""))
    assert "<script" not in text and "default-src 'none'" in text


def test_texts_are_escaped() -> None:
    text = page("<t>", "<i>", [Section("<h>", paragraph("<p> & q") + picture(b"", ["<c>"], '"><x>'))])
    for markup in ("<t>", "<i>", "<h>", "<p> &", "<c>", "<x>"):
        assert markup not in text
