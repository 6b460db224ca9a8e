"""The web page: it loads nothing, and no text is taken for markup."""

from __future__ import annotations

import re

from zeroq_research.report.page import ReportSection, details, page, paragraph, picture, plots
from zeroq_research.report.plots import Axis, Point, Series, plot


def test_the_page_loads_nothing() -> None:
    drawing = plot("t", Axis("x"), Axis("y"), [Series("a", (Point(1, 2), Point(2, 3)))])
    text = page(
        "t", "i", [ReportSection("h", picture(b"\x89PNG", ["<b>caption"], 'a "quoted" word') + plots([drawing]))]
    )
    assert not re.search(r"(?:https?:)?//(?!www\.w3\.org/2000/svg)", text.replace("data:image/png;base64,", ""))
    assert "<script" not in text and "default-src 'none'" in text


def test_texts_are_escaped() -> None:
    body = paragraph("<p> & q") + picture(b"", ["<c>"], '"><x>') + details("<s>", paragraph(""))
    text = page("<t>", "<i>", [ReportSection("<h>", body)])
    for markup in ("<t>", "<i>", "<h>", "<p> &", "<c>", "<x>", "<s>"):
        assert markup not in text


def test_plain_text_in_place_of_markup_is_escaped() -> None:
    assert "<script>" not in page("t", "i", [ReportSection("h", "<script>")])  # type: ignore[arg-type]


def test_the_same_content_gives_the_same_bytes() -> None:
    sections = [ReportSection("h", paragraph("p")), ReportSection("i", paragraph("q", note=True))]
    assert page("t", "i", sections) == page("t", "i", sections)
    assert re.findall(r"<h2>(\w)</h2>\n<p", page("t", "i", sections)) == ["h", "i"]
