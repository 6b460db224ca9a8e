"""The kind of a model file that is given on the command line, by its content and not by its name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Literal

from zeroq_asr.errors import FileError

_MAX_HEADER_BYTES = 64 << 20

ModelKind = Literal["quantized", "synthetic", "nemo", "name"]


def find_model_kind(reference: str) -> ModelKind:
    """Return the kind of a file from its content, or "name" if `reference` is no file and does not look like a path.

    Raises FileError: no such file, not readable, or neither a quantized model, synthetic data nor a .nemo archive.
    """
    path = Path(reference)
    try:
        exists = bool(reference) and path.exists()
    except (OSError, ValueError):
        exists = False
    if not exists:
        if path.suffix in (".nemo", ".safetensors", ".zeroq") or reference.startswith((".", "/", "~")) or not reference:
            raise FileError(
                f"{reference or 'model'}: no such file; check the path, or give the name of a shipped model"
            )
        return "name"
    head = _first_bytes(path, 512)
    if head[:2] == b"\x1f\x8b" or head[257:262] == b"ustar":
        return "nemo"
    metadata = _safetensors_metadata(path)
    # Each of the two formats has its own metadata key. Its reader checks everything else.
    if "synth" in metadata:
        return "synthetic"
    if "zeroq" in metadata:
        return "quantized"
    found = "a safetensors file of another kind" if metadata else "neither"
    raise FileError(f"{path}: expected a .nemo checkpoint or a quantized model, got {found}; is it the right file?")


def _first_bytes(path: Path, count: int) -> bytes:
    if not path.is_file():
        raise FileError(f"{path}: expected a file, got a folder or a device; give the path of a model file")
    try:
        with path.open("rb") as stream:
            return stream.read(count)
    except OSError as error:
        raise FileError(f"{path}: could not be read ({error.strerror or error})") from error


def _safetensors_metadata(path: Path) -> Mapping[str, object]:
    """Return the metadata of a safetensors header, empty if the file has no such header."""
    size = int.from_bytes(_first_bytes(path, 8), "little")
    if not 2 <= size <= min(_MAX_HEADER_BYTES, path.stat().st_size - 8):
        return {}
    try:
        header = json.loads(_first_bytes(path, 8 + size)[8:])
    except (ValueError, RecursionError):
        return {}
    metadata = header.get("__metadata__") if isinstance(header, dict) else None
    return metadata if isinstance(metadata, dict) else {"": ""}
