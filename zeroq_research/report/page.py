"""One self-contained web page: no network, no script, every text escaped, the same bytes for the same content."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from dataclasses import dataclass

_STYLE = """
:root { color-scheme: light dark; --ink: #1b1f24; --soft: #57606a; --page: #fff; --line: #d0d7de; --band: #f6f8fa;
  --c0: #0969da; --c1: #cf222e; --c2: #1a7f37; --c3: #8250df; --c4: #bc4c00; --c5: #0f7b86; --c6: #a40e6f;
  --c7: #6e7781; }
@media (prefers-color-scheme: dark) { :root { --ink: #e6edf3; --soft: #9198a1; --page: #0d1117; --line: #30363d;
  --band: #161b22; --c0: #58a6ff; --c1: #ff7b72; --c2: #3fb950; --c3: #bc8cff; --c4: #f0883e; --c5: #39c5cf;
  --c6: #ff9bce; --c7: #8b949e; } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); margin: 0 auto;
  max-width: 80rem; padding: 1.5rem; }
h1 { font-size: 1.6rem; margin: 0 0 .3rem; } h2 { font-size: 1.25rem; margin: 2.2rem 0 .6rem; padding-top: .8rem;
  border-top: 1px solid var(--line); } h3 { font-size: 1rem; margin: 1.2rem 0 .4rem; }
p { max-width: 60rem; } .note, figcaption { color: var(--soft); font-size: .87rem; }
.wide { overflow-x: auto; } table { border-collapse: collapse; font-size: .87rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .7rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { background: var(--band); } .words { text-align: left; } tr.strong td { font-weight: 600; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(28rem, 100%), 37rem)); gap: 1rem; }
svg.plot { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 6px; }
svg text { fill: var(--ink); } svg .grid { stroke: var(--line); } svg .faint { opacity: .45; }
figure { margin: 0 0 1rem; } figure img { max-width: 100%; }
.s0 { color: var(--c0); } .s1 { color: var(--c1); } .s2 { color: var(--c2); } .s3 { color: var(--c3); }
.s4 { color: var(--c4); } .s5 { color: var(--c5); } .s6 { color: var(--c6); } .s7 { color: var(--c7); }
"""


@dataclass(frozen=True)
class Section:
    """heading: plain text. body: HTML made by this package (`Sheet.to_html`, `svg_plot.plot`, `picture`, ...)."""

    heading: str
    body: str


def page(title: str, introduction: str, sections: Sequence[Section]) -> str:
    """Return the page. title, introduction and headings are plain text."""
    parts = [f"<h2>{html.escape(section.heading)}</h2>\n{section.body}" for section in sections]
    head = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        # nothing may be loaded from anywhere, whatever a model writes into a text
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; "
        'img-src data:">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head>\n"
    )
    body = f"<body><h1>{html.escape(title)}</h1>\n{paragraph(introduction)}{''.join(parts)}</body></html>\n"
    return head + body


def paragraph(text: str, note: bool = False) -> str:
    """Plain text as a paragraph; a note is smaller."""
    return f"<p{' class=note' if note else ''}>{html.escape(text)}</p>\n"


def picture(png: bytes, caption: Sequence[str], alternative: str) -> str:
    """A PNG inside the page with lines of plain text below."""
    data = base64.b64encode(png).decode()
    lines = "<br>".join(html.escape(line) for line in caption)
    image = f'<img src="data:image/png;base64,{data}" alt="{html.escape(alternative)}">'
    return f"<figure>{image}<figcaption>{lines}</figcaption></figure>\n"


def plots(drawings: Sequence[str]) -> str:
    """Plots side by side where there is room."""
    return f'<div class="plots">{"".join(drawings)}</div>\n'
