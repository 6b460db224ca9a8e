"""Writes the reproduced parts: one web page, and every table and picture as a file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from zeroq_asr.files import write_atomically
from zeroq_research.report.page import ReportSection, page

TITLE = "Integer-only speech recognition without data"


def write_report(sections: Sequence[ReportSection], folder: Path, introduction: str) -> list[Path]:
    """Write report.html, every table (.md, .csv, .json) and every picture; return the paths. Raises FileError."""
    contents: dict[str, bytes] = {}
    for section in sections:
        for name, table in section.tables.items():
            document = json.dumps({"results": list(table.records)}, indent=2, allow_nan=False) + "\n"
            contents |= {f"{name}.md": table.to_markdown().encode(), f"{name}.csv": table.to_csv().encode()}
            contents[f"{name}.json"] = document.encode()
        contents |= section.pictures
    contents["report.html"] = page(TITLE, introduction, sections).encode()
    for name, data in contents.items():
        write_atomically(folder / name, data)
    return [folder / name for name in contents]
