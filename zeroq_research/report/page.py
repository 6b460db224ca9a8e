"""One self-contained web page, rendered with jinja2: no network access, no script, every text escaped.

The same content gives the same bytes.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from zeroq_research.report.template import Markup, render

if TYPE_CHECKING:
    from zeroq_research.report.table import ReportTable


@dataclass(frozen=True)
class ReportSection:
    """A part of a page.

    heading: plain text. body: markup made by this package (`ReportTable.to_html`, `plots.plot`, `picture`, ...).
    tables, pictures: what is also written as files, by file name; tables without a suffix, pictures as whole files.
    """

    heading: str
    body: Markup
    tables: Mapping[str, ReportTable] = field(default_factory=dict)
    pictures: Mapping[str, bytes] = field(default_factory=dict)


def page(title: str, introduction: str, sections: Sequence[ReportSection]) -> str:
    """Return the page as HTML. title, introduction and headings are plain text."""
    return render("page.html.j2", title=title, introduction=introduction, sections=sections)


def paragraph(text: str, note: bool = False) -> Markup:
    """Return plain text as a paragraph; a note is smaller."""
    return Markup('<p class="note">{}</p>\n' if note else "<p>{}</p>\n").format(text)


def picture(png: bytes, caption: Sequence[str], alternative: str) -> Markup:
    """Return a PNG file as part of the page. caption: lines of plain text below; alternative: its `alt` text."""
    source = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    lines = Markup("<br>").join(caption)
    image = Markup('<img src="{}" alt="{}">').format(source, alternative)
    return Markup("<figure>{}<figcaption>{}</figcaption></figure>\n").format(image, lines)


def details(summary: str, body: Markup) -> Markup:
    """Return a body that is folded until the reader opens it."""
    return Markup("<details><summary>{}</summary>{}</details>\n").format(summary, body)


def plots(drawings: Sequence[Markup]) -> Markup:
    """Return plots side by side where the page is wide enough."""
    return Markup('<div class="plots">{}</div>\n').format(Markup("").join(drawings))
