"""Documents are true where a machine can tell: commands parse, links lead somewhere, snippets print what they say."""

from __future__ import annotations

import functools
import importlib
import os
import re
import runpy
import shlex
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import zeroq_asr
from zeroq_asr.cli import VERBS

ROOT = Path(__file__).parents[1]
FOLDERS = ("", "docs/**/", "examples/**/", "shipped/", "int_kernels/**/", ".github/**/")
DOCUMENTS = sorted({path for folder in FOLDERS for path in ROOT.glob(f"{folder}*.md")})
COMMAND = re.compile(r"(?:python -m zeroq_asr\.|zeroq-asr )([a-z]\w*)((?: [^`\n#|;]+)?)")
LINK = re.compile(r"\]\((?!https?:|mailto:)([^)\s]*)\)")
FILE = re.compile(r"(?<![\w/])((?:benchmarks|eval|examples|int_kernels|synth|tests|zeroq_\w+)/[\w/]+\.(?:py|c|h|md))\b")
WIDTH = 100


def text_of(document: Path) -> str:
    return document.read_text(encoding="utf-8")


def name_of(document: Path) -> str:
    return str(document.relative_to(ROOT))


def commands() -> list[tuple[str, str, str]]:
    """Document, verb, flags; a command may go on behind a backslash at the end of its line."""
    found = []
    for document in DOCUMENTS:
        for match in COMMAND.finditer(re.sub(r"\\\n\s*", "", text_of(document))):
            found.append((name_of(document), match[1], match[2].strip()))
    return found


def prose(document: Path) -> Iterator[tuple[int, str]]:
    """Numbered lines that are neither code nor tables."""
    fenced = False
    for number, line in enumerate(text_of(document).splitlines(), 1):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif not fenced and not line.startswith(("|", "    ")):
            yield number, line


def anchors(document: Path) -> set[str]:
    """What a link into `document` may name: its headings, as GitHub and the site spell them."""
    headings = [line.lstrip("#").strip() for _, line in prose(document) if line.startswith("#")]
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_documents_show_commands() -> None:
    verbs = {verb for _, verb, _ in commands()}
    assert {"generate", "quantize", "evaluate", "transcribe", "inspect", "verify", "export"} <= verbs


@pytest.mark.parametrize(("document", "verb", "flags"), commands())
def test_a_documented_command_parses(document: str, verb: str, flags: str) -> None:
    if verb in ("analyses", "demo"):  # a package, and the demo that has no flags
        return
    parser = importlib.import_module(VERBS[verb]).build_parser()
    words = shlex.split(flags.replace("...", ""))
    if words or verb in ("generate", "quantize", "evaluate"):
        parser.parse_args(words)


@pytest.mark.parametrize("target", ["demo", "test", "nightly", "check", "docs", "lock", "clean"])
def test_documented_make_targets_exist(target: str) -> None:
    assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE)


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_relative_links_lead_somewhere(document: Path) -> None:
    for link in LINK.findall(text_of(document)):
        place, _, anchor = link.partition("#")
        target = document.parent / place if place else document
        assert target.exists(), link
        if anchor:
            assert anchor in anchors(target), link


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_lines_are_short(document: Path) -> None:
    assert [(number, line) for number, line in prose(document) if len(line) > WIDTH] == []


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_files_that_documents_name_exist(document: Path) -> None:
    for name in FILE.findall(text_of(document)):
        assert (ROOT / name).is_file(), name


def test_every_decision_is_in_the_index_and_has_its_parts() -> None:
    folder = ROOT / "docs" / "decisions"
    index = text_of(folder / "index.md")
    pages = sorted(folder.glob("[0-9]*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    for page in pages:
        assert f"]({page.name})" in index, page.name
        assert [part for part in ("Context", "Measured", "Decided") if f"\n## {part}\n" not in text_of(page)] == []


def snippet() -> tuple[str, str]:
    """The README's Python block and what it is said to print."""
    match = re.search(r"```python\n(.*?)```\n\n```text\n(.*?)```", text_of(ROOT / "README.md"), re.DOTALL)
    assert match, "README.md: expected a Python block and its output behind it"
    return match[1], match[2]


@pytest.mark.slow
def test_the_readme_prints_what_it_says(tmp_path: Path) -> None:
    (tmp_path / "shipped").symlink_to(ROOT / "shipped")
    code, expected = snippet()
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_WAIT_POLICY": "PASSIVE"}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout == expected


def test_the_first_example_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """With ranges from the parameters alone, which take no synthesis."""
    quantize = functools.partial(zeroq_asr.quantize, calibration="analytic")
    monkeypatch.setattr(zeroq_asr, "quantize", quantize)
    monkeypatch.chdir(tmp_path)
    speech = str(ROOT / "shipped" / "clean" / "000.flac")
    monkeypatch.setattr(sys, "argv", ["quantize_nemo.py", "quartznet-voice-1m", speech])
    runpy.run_path(str(ROOT / "examples" / "quantize_nemo.py"), run_name="__main__")
    lines = dict(line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines())
    assert lines["float"] == lines["W8A8"] == "transfer the patient to dermatology"
    assert lines["verified"] == "True"


@pytest.mark.parametrize("path", sorted((ROOT / "examples").glob("*.py")), ids=name_of)
def test_examples_compile(path: Path) -> None:
    compile(text_of(path), str(path), "exec")
