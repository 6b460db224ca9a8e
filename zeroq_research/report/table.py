"""One table, four ways to write it: for the terminal, as Markdown, as CSV and as a part of a web page."""

from __future__ import annotations

import csv
import html
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from zeroq_asr.report.text_table import align


def rate_cell(row: Mapping[str, Any]) -> str:
    """wer, and wer_deviation where there are several runs: "4.01 ± 0.04"."""
    return f"{row['wer']:.2f}" + (f" ± {row['wer_deviation']:.2f}" if row["wer_deviation"] is not None else "")


def difference_cell(row: Mapping[str, Any]) -> str:
    """difference, difference_low, difference_high: "+0.10 [-0.06, +0.29]", with * where zero lies outside."""
    mark = " *" if row["difference_low"] > 0 or row["difference_high"] < 0 else ""
    return f"{row['difference']:+.2f} [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]{mark}"


@dataclass(frozen=True)
class Sheet:
    """headings and rows as people read them; records: the same rows unrounded, by name, for machines.

    left: columns of words (numbers stand to the right). strong: rows to be seen first. notes: sentences below.
    """

    title: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    records: tuple[Mapping[str, Any], ...]
    left: frozenset[int] = frozenset()
    strong: frozenset[int] = frozenset()
    notes: tuple[str, ...] = field(default=())

    def to_text(self) -> str:
        """For the terminal."""
        lines = align([self.headings, *self.rows], left=self.left)
        return "\n".join([self.title, *lines, *self.notes]) + "\n"

    def to_markdown(self) -> str:
        """A GitHub table with title and notes."""
        ruler = ["---" if column in self.left else "---:" for column in range(len(self.headings))]
        lines = [f"### {_escaped(self.title)}", "", _line(self.headings), _line(ruler, escape=False)]
        for number, row in enumerate(self.rows):
            bold = [f"**{_escaped(cell)}**" if cell else "" for cell in row]
            lines.append(_line(bold, escape=False) if number in self.strong else _line(row))
        for note in self.notes:
            lines += ["", _escaped(note)]
        return "\n".join(lines) + "\n"

    def to_csv(self) -> str:
        """The records: one column for each name that holds plain numbers or words, RFC 4180 with line feeds."""
        names = list(dict.fromkeys(name for record in self.records for name in record))
        plain = [n for n in names if all(isinstance(r.get(n), str | int | float | None) for r in self.records)]
        stream = io.StringIO()
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(plain)
        writer.writerows([["" if r.get(n) is None else r[n] for n in plain] for r in self.records])
        return stream.getvalue()

    def to_html(self) -> str:
        """A heading, a <table> and its notes; every text is escaped."""
        head = "".join(self._cell("th", column, text) for column, text in enumerate(self.headings))
        body = []
        for number, row in enumerate(self.rows):
            cells = "".join(self._cell("td", column, text) for column, text in enumerate(row))
            body.append(f'<tr class="strong">{cells}</tr>' if number in self.strong else f"<tr>{cells}</tr>")
        notes = "".join(f'<p class="note">{html.escape(note)}</p>' for note in self.notes)
        table = f"<table><thead><tr>{head}</tr></thead><tbody>{''.join(body)}</tbody></table>"
        return f'<h3>{html.escape(self.title)}</h3><div class="wide">{table}</div>{notes}\n'

    def _cell(self, tag: str, column: int, text: str) -> str:
        words = ' class="words"' if column in self.left else ""
        return f"<{tag}{words}>{html.escape(text)}</{tag}>"


def _escaped(text: str) -> str:
    return "".join("&lt;" if c == "<" else f"\\{c}" if c in "\\|*`" else c for c in text)


def _line(cells: Sequence[str], escape: bool = True) -> str:
    return "| " + " | ".join(_escaped(cell) if escape else cell for cell in cells) + " |"
