"""One table in four formats: terminal text, Markdown, CSV and HTML."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zeroq_asr.report.text_table import align
from zeroq_research.report.template import Markup, render


def format_rate(row: Mapping[str, Any]) -> str:
    """Return wer with wer_deviation, where there are several runs, in percent: "4.01 ± 0.04"."""
    return f"{row['wer']:.2f}" + (f" ± {row['wer_deviation']:.2f}" if row["wer_deviation"] is not None else "")


def format_difference(row: Mapping[str, Any]) -> str:
    """Return difference, difference_low and difference_high in points: "+0.10 [-0.06, +0.29]".

    A " *" follows where the interval excludes zero.
    """
    mark = " *" if row["difference_low"] > 0 or row["difference_high"] < 0 else ""
    return f"{row['difference']:+.2f} [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]{mark}"


@dataclass(frozen=True)
class ReportTable:
    """headings and rows: text for readers. records: the same rows for programs, unrounded values by name.

    left: columns that are aligned to the left (numbers are aligned to the right). strong: rows in bold type.
    notes: sentences below the table.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    records: tuple[Mapping[str, Any], ...]
    left: frozenset[int] = frozenset()
    strong: frozenset[int] = frozenset()
    notes: tuple[str, ...] = field(default=())

    def to_text(self) -> str:
        """Return the table in aligned columns for a terminal."""
        lines = align([self.headings, *self.rows], left=self.left)
        return "\n".join([self.title, *lines, *self.notes]) + "\n"

    def to_markdown(self) -> str:
        """Return a GitHub table with title and notes."""
        ruler = ["---" if column in self.left else "---:" for column in range(len(self.headings))]
        lines = [f"### {_escape(self.title)}", "", _line(map(_escape, self.headings)), _line(ruler)]
        for number, row in enumerate(self.rows):
            cells = [_escape(cell) for cell in row]
            if number in self.strong:
                cells = [f"**{cell}**" if cell else "" for cell in cells]
            lines.append(_line(cells))
        for note in self.notes:
            lines += ["", _escape(note)]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """Return the records as CSV (RFC 4180 with line feeds): a column for each name that holds only plain values."""
        names = list(dict.fromkeys(name for record in self.records for name in record))
        plain = [n for n in names if all(isinstance(r.get(n), str | int | float | None) for r in self.records)]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(plain)
        writer.writerows([["" if r.get(n) is None else r[n] for n in plain] for r in self.records])
        return stream.getvalue()

    def to_html(self) -> Markup:
        """Return a heading, a <table> and the notes; every text is escaped."""
        return render("table.html.j2", table=self)


def _escape(text: str) -> str:
    """Escape what Markdown would take for markup."""
    return "".join("&lt;" if c == "<" else f"\\{c}" if c in "\\|*`" else c for c in text)


def _line(cells: Sequence[str] | map[str]) -> str:
    return "| " + " | ".join(cells) + " |"
