"""One table in four writings: nothing is lost, nothing is taken for markup."""

from __future__ import annotations

import csv
import io

from zeroq_research.report.table import Sheet

SHEET = Sheet(
    title="a | b <i>",
    headings=("name", "WER %"),
    rows=(("x|y*", "1.50"), ("<script>", "")),
    records=({"name": "x|y*", "wer": 1.5, "runs": [1, 2]}, {"name": "<script>", "wer": None, "runs": []}),
    left=frozenset({0}),
    strong=frozenset({0}),
    notes=("a < b",),
)


def test_text_stands_in_columns() -> None:
    assert SHEET.to_text().splitlines() == ["a | b <i>", "name      WER %", "x|y*       1.50", "<script>", "a < b"]


def test_markdown_escapes_what_would_be_markup() -> None:
    lines = SHEET.to_markdown().splitlines()
    assert lines[2:6] == ["| name | WER % |", "| --- | ---: |", "| **x\\|y\\*** | **1.50** |", "| &lt;script> |  |"]


def test_csv_holds_the_unrounded_records() -> None:
    rows = list(csv.DictReader(io.StringIO(SHEET.to_csv())))
    assert rows == [{"name": "x|y*", "wer": "1.5"}, {"name": "<script>", "wer": ""}]


def test_html_escapes_every_text() -> None:
    page = SHEET.to_html()
    assert "<script>" not in page and "&lt;script&gt;" in page and "a &lt; b" in page and "<i>" not in page
    assert page.count("<tr") == 3 and page.count('class="strong"') == 1
