"""One table in four formats: nothing is lost, nothing is taken for markup."""

from __future__ import annotations

import csv
import io

from zeroq_research.report.table import ReportTable

TABLE = ReportTable(
    title="a | b <i>",
    headings=("name", "WER %"),
    rows=(("x|y*", "1.50"), ("<script>", "")),
    records=({"name": "x|y*", "wer": 1.5, "runs": [1, 2]}, {"name": "<script>", "wer": None, "runs": []}),
    left=frozenset({0}),
    strong=frozenset({0}),
    notes=("a < b",),
)


def test_text_is_aligned_in_columns() -> None:
    assert TABLE.to_text().splitlines() == ["a | b <i>", "name      WER %", "x|y*       1.50", "<script>", "a < b"]


def test_markdown_escapes_what_would_be_markup() -> None:
    lines = TABLE.to_markdown().splitlines()
    assert lines[2:6] == ["| name | WER % |", "| --- | ---: |", "| **x\\|y\\*** | **1.50** |", "| &lt;script> |  |"]


def test_csv_holds_the_unrounded_records() -> None:
    rows = list(csv.DictReader(io.StringIO(TABLE.to_csv())))
    assert rows == [{"name": "x|y*", "wer": "1.5"}, {"name": "<script>", "wer": ""}]


def test_html_escapes_every_text() -> None:
    page = TABLE.to_html()
    assert "<script>" not in page and "&lt;script&gt;" in page and "a &lt; b" in page and "<i>" not in page
    assert page.count("<tr") == 3 and page.count('class="strong"') == 1
