"""Reader of NeMo manifests: one JSON object per line with a segment of an audio file and its transcript."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from pathlib import Path

from eval.errors import ManifestError
from eval.types import Utterance

# Limits against files that would exhaust memory. LibriSpeech has 281,241 utterances.
MAX_FILE_BYTES = 1 << 30
MAX_LINE_BYTES = 1 << 20
MAX_UTTERANCES = 2_000_000
MAX_TEXT_CHARACTERS = 100_000
MAX_DURATION_S = 24 * 3600.0


def read_manifest(path: str | Path, limit: int | None = None, check_audio: bool = True) -> list[Utterance]:
    """Return the utterances of a manifest in its order, at most `limit`.

    A line has `audio_filepath` (absolute, or relative to the folder of the manifest), `duration` (seconds, above 0),
    `text` (may be empty) and optionally `offset` (seconds, at least 0); other keys are ignored. Lines of white space
    are skipped. Every line that is read is checked; with `check_audio` the audio file must exist. Raises ManifestError,
    which names the file and the line, what was expected and what was found.
    """
    path = Path(path)
    if limit is not None and limit < 1:
        raise ManifestError(f"{path}: expected a limit of at least 1, got {limit}")
    utterances: list[Utterance] = []
    for where, line in _lines(path):
        if len(utterances) == limit:
            break
        if len(utterances) == MAX_UTTERANCES:
            raise ManifestError(f"{where}: expected at most {MAX_UTTERANCES} utterances, the file has more; split it")
        utterances.append(_utterance(where, line, path.parent, check_audio))
    if not utterances:
        raise ManifestError(f"{path}: expected at least one line of JSON, the file has none")
    return utterances


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield (where, line) of each line that is not white space, decoded as UTF-8. Raises ManifestError."""
    try:
        if not path.is_file():
            found = "a folder" if path.is_dir() else "nothing there" if not path.exists() else "no regular file"
            raise ManifestError(f"{path}: expected a manifest file, found {found}")
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            raise ManifestError(f"{path}: expected at most {MAX_FILE_BYTES} bytes, got {size}")
        with path.open("rb") as stream:
            number = 0
            while raw := stream.readline(MAX_LINE_BYTES + 1):
                number += 1
                where = f"{path}, line {number}"
                if len(raw) > MAX_LINE_BYTES:
                    raise ManifestError(f"{where}: expected at most {MAX_LINE_BYTES} bytes a line, got more")
                line = _decode(where, raw.removeprefix(b"\xef\xbb\xbf") if number == 1 else raw)
                if line.strip():
                    yield where, line
    except (OSError, ValueError) as error:  # ValueError: a NUL byte in the path
        raise ManifestError(f"{path}: cannot be read: {error}") from error


def _decode(where: str, raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise ManifestError(f"{where}: expected UTF-8 text, got byte 0x{raw[error.start]:02x}") from error


def _utterance(where: str, line: str, folder: Path, check_audio: bool) -> Utterance:
    entry = _json_object(where, line)
    name = _text(where, entry, "audio_filepath")
    if not name.strip() or "\0" in name:
        raise ManifestError(f"{where}: expected a file name in 'audio_filepath', got {_shown(name)}")
    try:
        audio = Path(name).expanduser() if name.startswith("~/") else Path(name)
        audio = audio if audio.is_absolute() else folder / audio
        if check_audio and not audio.is_file():
            raise ManifestError(f"{where}: expected an audio file, found none at {audio}")
    except (OSError, RuntimeError) as error:  # e.g. a name longer than the file system allows
        raise ManifestError(f"{where}: 'audio_filepath' cannot be used: {error}") from error
    duration = _number(where, entry, "duration")
    if duration <= 0.0:
        raise ManifestError(f"{where}: expected a 'duration' above 0 s, got {duration}")
    offset = _number(where, entry, "offset") if entry.get("offset") is not None else 0.0
    if offset < 0.0:
        raise ManifestError(f"{where}: expected an 'offset' of at least 0 s, got {offset}")
    text = _text(where, entry, "text")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise ManifestError(f"{where}: expected at most {MAX_TEXT_CHARACTERS} characters of text, got {len(text)}")
    return Utterance(audio, duration, text, offset)


def _json_object(where: str, line: str) -> dict[str, object]:
    try:
        entry = json.loads(line, parse_constant=_refuse_constant, object_pairs_hook=_unique)
    except (ValueError, RecursionError) as error:
        reason = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise ManifestError(f"{where}: expected one JSON object, got {_shown(line.strip())} ({reason})") from error
    if not isinstance(entry, dict):
        raise ManifestError(f"{where}: expected a JSON object, got {_kind(entry)}")
    return entry


def _unique(pairs: list[tuple[str, object]]) -> dict[str, object]:
    entry = dict(pairs)
    if len(entry) != len(pairs):
        # JSON readers disagree on which of two equal keys counts, so both are refused.
        raise ValueError("a key occurs twice")
    return entry


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not a JSON number")


def _text(where: str, entry: dict[str, object], key: str) -> str:
    value = _required(where, entry, key)
    if not isinstance(value, str):
        raise ManifestError(f"{where}: expected text in '{key}', got {_kind(value)}")
    try:
        value.encode("utf-8")
    except UnicodeEncodeError as error:
        raise ManifestError(f"{where}: expected valid Unicode in '{key}', got a lone surrogate") from error
    return value


def _number(where: str, entry: dict[str, object], key: str) -> float:
    value = _required(where, entry, key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ManifestError(f"{where}: expected a number of seconds in '{key}', got {_kind(value)}")
    if not abs(value) <= MAX_DURATION_S or not math.isfinite(value):
        raise ManifestError(f"{where}: expected at most {MAX_DURATION_S:.0f} s in '{key}', got {_shown(str(value))}")
    return float(value)


def _required(where: str, entry: dict[str, object], key: str) -> object:
    if key not in entry:
        keys = ", ".join(_shown(k) for k in list(entry)[:6]) or "no keys at all"
        raise ManifestError(f"{where}: expected the key '{key}', got {keys}")
    return entry[key]


def _kind(value: object) -> str:
    names = {bool: "a truth value", dict: "an object", list: "a list", str: "text", type(None): "null"}
    return names.get(type(value), "a number")


def _shown(text: str, most: int = 60) -> str:
    """Return `text` quoted, shortened, on one line and without control characters."""
    return ascii(text if len(text) <= most else text[:most] + "...")
