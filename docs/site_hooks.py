"""Pages of the site that lie outside docs/, and links that work on GitHub and in the site.

Markdown files link to each other by their places in the repository. The site has other places: here every relative link
is resolved in the repository, then written as the site wants it. What is no page of the site becomes plain text, or a
link to the repository where `repo_url` is set.
"""

from __future__ import annotations

import posixpath
import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[1]

OUTSIDE = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "SECURITY.md": "security.md",
    "CODE_OF_CONDUCT.md": "code-of-conduct.md",
    "int_kernels/SPEC.md": "spec.md",
    "int_kernels/native/README.md": "native.md",
    **{f"shipped/{path.name}": f"shipped/{path.name}" for path in sorted((ROOT / "shipped").glob("*.md"))},
}
"""Repository path -> page of the site, for the pages that do not lie in docs/."""

LINK = re.compile(r"(!?)\[([^\]]*)\]\((?!https?:|mailto:|#)([^)#\s]*)(#[^)\s]*)?\)")


def on_config(config: Any) -> Any:
    """List every decision in the navigation, under the item `Decisions`."""
    pages = [f"decisions/{path.name}" for path in sorted((ROOT / "docs" / "decisions").glob("[0-9]*.md"))]
    for item in config.nav:
        if "Decisions" in item:
            item["Decisions"] = [item["Decisions"], *pages]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages from outside docs/."""
    for source, page in OUTSIDE.items():
        text = (ROOT / source).read_text(encoding="utf-8")
        files.append(File.generated(config, page, content=rewrite(text, source, page, config.repo_url)))
    return files


def on_page_markdown(markdown: str, page: Any, config: Any, files: Files) -> str:
    """Rewrite the links of the pages in docs/."""
    uri = page.file.src_uri
    if uri in OUTSIDE.values():
        return markdown
    return rewrite(markdown, f"docs/{uri}", uri, config.repo_url)


def rewrite(text: str, source: str, page: str, repo_url: str | None) -> str:
    """Return `text` of the repository file `source` with its links as the site's page `page` needs them."""

    def replaced(match: re.Match[str]) -> str:
        image, label, target, anchor = match[1], match[2], match[3], match[4] or ""
        place = posixpath.normpath(posixpath.join(posixpath.dirname(source), target))
        if place.startswith("docs/"):
            found = place.removeprefix("docs/")
        elif place in OUTSIDE:
            found = OUTSIDE[place]
        elif repo_url:
            return f"{image}[{label}]({repo_url.rstrip('/')}/blob/main/{place}{anchor})"
        else:
            return label
        return f"{image}[{label}]({posixpath.relpath(found, posixpath.dirname(page) or '.')}{anchor})"

    return LINK.sub(replaced, text)
