"""Units of work that survive a killed run: each result is one JSON file named after the SHA-256 of what it depends on.

A cell that is there is not computed again. It is written whole or not at all, and holds nothing that differs between
two runs with the same inputs (no time, no path, no machine), so that an interrupted run, started again, ends with the
same bytes. Several processes may share one folder.
"""

from __future__ import annotations

import ast
import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from eval.types import Utterance
from zeroq_asr.errors import FileError
from zeroq_asr.files import read_file, write_atomically

Json = dict[str, Any]
_MAX_BYTES = 256 << 20
_ROOT = Path(__file__).parents[1]
_LOG = logging.getLogger(__name__)

ARITHMETIC = (
    "int_kernels",
    "eval/ctc.py",
    "eval/text.py",
    "eval/wer.py",
    "zeroq_asr/analyses",
    "zeroq_asr/artifact.py",
    "zeroq_asr/bit_allocation",
    "zeroq_asr/calibrate",
    "zeroq_asr/frontend",
    "zeroq_asr/ir",
    "zeroq_asr/passes",
    "zeroq_asr/pipelines/quantize.py",
    "zeroq_asr/quant",
    "zeroq_asr/runtime",
    "zeroq_research/experiments.py",
)
"""What decides which text a program writes and how it is scored."""
SYNTHESIS = ("synth", "zeroq_asr/ir", "zeroq_asr/runtime/float_executor.py", "zeroq_asr/pipelines/generate.py")
"""What decides which synthetic data a model gives."""


@dataclass(frozen=True, eq=False)
class CellStore:
    """Cells in `folder`. fresh: what lies there from earlier runs is not believed; what this run made is."""

    folder: Path
    fresh: bool = False
    _made: set[Path] = field(default_factory=set, repr=False)

    def path(self, kind: str, inputs: Mapping[str, Any], ending: str = "json") -> Path:
        """Where the result of this kind of work on these inputs lies."""
        return self.folder / f"{kind}-{key_of(kind, inputs)}.{ending}"

    def find(self, kind: str, inputs: Mapping[str, Any]) -> Json | None:
        """The finished result, or None: not there, not believed, or damaged."""
        path = self.path(kind, inputs)
        if not self.believes(path):
            return None
        try:
            document = json.loads(read_file(path, _MAX_BYTES))
            if document["kind"] == kind and document["inputs"] == json.loads(_text(inputs)):
                result = document["result"]
                return result if isinstance(result, dict) else None
        except (FileError, ValueError, KeyError, TypeError, RecursionError) as error:
            _LOG.warning("%s: a damaged cell (%s); it is computed again", path, error)
        return None

    def believes(self, path: Path) -> bool:
        """Whether `path` is there and may be used."""
        return path.exists() and (not self.fresh or path in self._made)

    def get(self, kind: str, inputs: Mapping[str, Any], compute: Callable[[], Mapping[str, Any]]) -> Json:
        """The finished result, else what `compute` returns, written down first. Raises FileError and what it raises."""
        found = self.find(kind, inputs)
        if found is not None:
            return found
        document = {"kind": kind, "inputs": inputs, "result": compute()}
        path = self.path(kind, inputs)
        data = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(path, data.encode())
        self.made(path)
        result: Json = json.loads(data)["result"]  # what a later run will read, tuples and all
        return result

    def made(self, path: Path) -> None:
        """Remember that this run made `path`."""
        self._made.add(path)


def key_of(kind: str, inputs: Mapping[str, Any]) -> str:
    """SHA-256 (hex) of the kind of work and of all its inputs, plain JSON values."""
    return hashlib.sha256(f"{kind}\n{_text(inputs)}".encode()).hexdigest()


def _text(inputs: Mapping[str, Any]) -> str:
    return json.dumps(inputs, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def data_digest(utterances: Iterable[Utterance]) -> str:
    """SHA-256 (hex) of what is said and heard: texts, segments and audio bytes, in order; where files lie is not in it.

    Raises FileError.
    """
    digest = hashlib.sha256()
    for utterance in utterances:
        audio = _file_digest(utterance.audio_path, utterance.audio_path.stat().st_mtime_ns)
        digest.update(json.dumps([utterance.text, utterance.duration_s, utterance.offset_s, audio]).encode())
    return digest.hexdigest()


@cache
def _file_digest(path: Path, changed: int) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def code_digest(rooms: tuple[str, ...]) -> str:
    """SHA-256 (hex) of the code in `rooms` (folders and files of this repository), comments and docstrings left out.

    An edit of the arithmetic makes other keys, so that no table mixes results of two versions.
    """
    digest = hashlib.sha256()
    for path in sorted({found for room in rooms for found in _sources(_ROOT / room)}):
        digest.update(str(path.relative_to(_ROOT)).encode())
        code = path.read_bytes()
        digest.update(_without_words(code).encode() if path.suffix == ".py" else code)
    return digest.hexdigest()


def _sources(room: Path) -> list[Path]:
    if room.is_file():
        return [room]
    return [path for ending in ("py", "c", "h") for path in room.rglob(f"*.{ending}")]


def _without_words(code: bytes) -> str:
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return ast.dump(tree)


@cache
def library_versions() -> Mapping[str, str | None]:
    """The versions of the libraries whose sums and alignments enter a result."""
    return {name: _version(name) for name in ("numpy", "torch", "jiwer")}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
