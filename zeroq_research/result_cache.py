"""Experiment results that survive a killed run, one JSON file each.

A file is named after the SHA-256 of everything its result depends on, and an existing result is not computed again. A
file is written completely or not at all. It holds nothing that differs between two runs with the same inputs (no time,
no path, no machine), so an interrupted run that is started again ends with the same bytes. Several processes may share
one folder.
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
    "zeroq_asr/artifact",
    "zeroq_asr/bit_allocation",
    "zeroq_asr/calibrate",
    "zeroq_asr/frontend",
    "zeroq_asr/ir",
    "zeroq_asr/ops",
    "zeroq_asr/passes",
    "zeroq_asr/pipelines/quantize.py",
    "zeroq_asr/quant",
    "zeroq_asr/runtime",
    "zeroq_research/experiments.py",
)
"""The sources that decide which text a model writes and how it is scored."""
SYNTHESIS = (
    "synth",
    "zeroq_asr/ir",
    "zeroq_asr/ops",
    "zeroq_asr/runtime/float_executor.py",
    "zeroq_asr/pipelines/generate.py",
)
"""The sources that decide which synthetic data a model gives."""


@dataclass(frozen=True, eq=False)
class ResultCache:
    """The results in `folder`. fresh: ignore results of earlier runs; those of this run are used."""

    folder: Path
    fresh: bool = False
    _written: set[Path] = field(default_factory=set, repr=False)

    def path(self, kind: str, inputs: Mapping[str, Any], suffix: str = "json") -> Path:
        """Return where the result of this kind of work on these inputs is stored, whether or not it exists."""
        return self.folder / f"{kind}-{cache_key(kind, inputs)}.{suffix}"

    def find(self, kind: str, inputs: Mapping[str, Any]) -> Json | None:
        """Return the stored result, or None if it is missing, ignored (`fresh`) or damaged."""
        path = self.path(kind, inputs)
        if not self.is_valid(path):
            return None
        try:
            document = json.loads(read_file(path, _MAX_BYTES))
            if document["kind"] == kind and document["inputs"] == json.loads(_canonical_json(inputs)):
                result = document["result"]
                return result if isinstance(result, dict) else None
        except (FileError, ValueError, KeyError, TypeError, RecursionError) as error:
            _LOG.warning("%s: expected a cached result, got a damaged file (%s); computing it again", path, error)
        return None

    def is_valid(self, path: Path) -> bool:
        """Return whether the file exists and may be used."""
        return path.exists() and (not self.fresh or path in self._written)

    def get(self, kind: str, inputs: Mapping[str, Any], compute: Callable[[], Mapping[str, Any]]) -> Json:
        """Return the stored result, or call `compute`, store what it returns and return that.

        Raises FileError, and what `compute` raises.
        """
        found = self.find(kind, inputs)
        if found is not None:
            return found
        document = {"kind": kind, "inputs": inputs, "result": compute()}
        path = self.path(kind, inputs)
        data = json.dumps(document, sort_keys=True, indent=1, ensure_ascii=False, allow_nan=False) + "\n"
        write_atomically(path, data.encode())
        self.mark_written(path)
        result: Json = json.loads(data)["result"]  # exactly what a later run reads, e.g. lists for tuples
        return result

    def mark_written(self, path: Path) -> None:
        """Record that this run wrote the file, so that it is valid with `fresh` too."""
        self._written.add(path)


def cache_key(kind: str, inputs: Mapping[str, Any]) -> str:
    """Return the SHA-256 (hex) of the kind of work and of all its inputs, plain JSON values.

    The order of keys does not matter. Raises ValueError for numbers that are not finite.
    """
    return hashlib.sha256(f"{kind}\n{_canonical_json(inputs)}".encode()).hexdigest()


def _canonical_json(inputs: Mapping[str, Any]) -> str:
    return json.dumps(inputs, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":"))


def data_digest(utterances: Iterable[Utterance]) -> str:
    """Return the SHA-256 (hex) of the content of a test set: texts, segments and audio bytes, in order.

    The location of the files does not enter. Raises OSError where an audio file cannot be read.
    """
    digest = hashlib.sha256()
    for utterance in utterances:
        audio = _file_digest(utterance.audio_path, utterance.audio_path.stat().st_mtime_ns)
        digest.update(json.dumps([utterance.text, utterance.duration_s, utterance.offset_s, audio]).encode())
    return digest.hexdigest()


@cache
def _file_digest(path: Path, modified_ns: int) -> str:
    """modified_ns is part of the cache key only: a file that changes is read again."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


@cache
def source_digest(sources: tuple[str, ...]) -> str:
    """Return the SHA-256 (hex) of the code in `sources`, folders and files of this repository.

    Comments and docstrings do not enter. A change of the arithmetic gives other keys, so that no table mixes results of
    two versions. Raises FileError where a source does not exist: its changes would go unnoticed.
    """
    digest = hashlib.sha256()
    for path in sorted({found for source in sources for found in _files_of(_ROOT / source)}):
        digest.update(str(path.relative_to(_ROOT)).encode())
        code = path.read_bytes()
        digest.update(_without_docstrings(code).encode() if path.suffix == ".py" else code)
    return digest.hexdigest()


def _files_of(source: Path) -> list[Path]:
    if source.is_file():
        return [source]
    if not source.is_dir():
        raise FileError(f"{source}: expected a source file or folder, found none")
    return [path for suffix in ("py", "c", "h") for path in source.rglob(f"*.{suffix}")]


def _without_docstrings(code: bytes) -> str:
    """The syntax tree without constants that stand alone; comments are not part of it anyway."""
    tree = ast.parse(code)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            node.body = [s for s in node.body if not (isinstance(s, ast.Expr) and isinstance(s.value, ast.Constant))]
    return ast.dump(tree)


@cache
def library_versions() -> Mapping[str, str | None]:
    """Return the versions of the libraries whose results enter a score; None for one that is not installed."""
    return {name: _version(name) for name in ("numpy", "torch", "jiwer")}


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
