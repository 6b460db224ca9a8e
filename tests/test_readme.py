"""Every command that the documents show is understood by the real parsers."""

from __future__ import annotations

import importlib
import re
import shlex
from pathlib import Path

import pytest

from zeroq_asr.cli import VERBS

ROOT = Path(__file__).parents[1]
DOCUMENTS = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("shipped/*.md")]
COMMAND = re.compile(r"(?:python -m zeroq_asr\.|zeroq-asr )([a-z]\w*)((?: [^`\n#|]+)?)")


def commands() -> list[tuple[str, str, str]]:
    found = []
    for document in DOCUMENTS:
        for match in COMMAND.finditer(document.read_text(encoding="utf-8")):
            found.append((document.name, match[1], match[2].strip()))
    return found


def test_the_documents_show_commands() -> None:
    verbs = {verb for name, verb, _ in commands() if name == "README.md"}
    assert {"generate", "quantize", "evaluate", "transcribe", "inspect", "verify"} <= verbs


@pytest.mark.parametrize(("document", "verb", "flags"), commands())
def test_a_documented_command_parses(document: str, verb: str, flags: str) -> None:
    if verb in ("analyses", "demo"):  # a package, and the demo that has no flags
        return
    parser = importlib.import_module(VERBS[verb]).build_parser()
    words = shlex.split(flags.replace("...", ""))
    if words or verb in ("generate", "quantize", "evaluate"):
        parser.parse_args(words)


@pytest.mark.parametrize("target", ["demo", "test", "check", "lock", "clean"])
def test_documented_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


def test_relative_links_lead_somewhere() -> None:
    for document in DOCUMENTS:
        for link in re.findall(r"\]\(([^)#:]+)\)", document.read_text(encoding="utf-8")):
            assert (document.parent / link).exists(), f"{document.name}: {link}"
