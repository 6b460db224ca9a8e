"""Reader of a safe subset of YAML: mappings with string keys, lists, strings, numbers, booleans and null.

The parser events are consumed one by one, so that an oversized document is refused before it is built. Tags and
recursion are refused, and an alias counts as much as it expands to. Numbers follow YAML 1.2 (1e-05 is a number), as in
OmegaConf, which writes the files of NeMo.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from zeroq_asr.errors import CheckpointError

MAX_BYTES = 4 << 20
MAX_DEPTH = 24
MAX_ITEMS = 200_000
"""Largest number of keys, values and items, with aliases expanded."""
MAX_ALIASES = 1000
MAX_KEY = 256

Plain = Mapping[str, "Plain"] | Sequence["Plain"] | str | int | float | bool | None

_INT = re.compile(r"[-+]?(0|[1-9][0-9]{0,17})")
_FLOAT = re.compile(
    r"[-+]?[0-9]{1,40}\.[0-9]{0,40}([eE][-+]?[0-9]{1,4})?|[-+]?[0-9]{1,40}[eE][-+]?[0-9]{1,4}"
    r"|\.[0-9]{1,40}([eE][-+][0-9]{1,4})?"
)
_SPECIAL = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"), True),
    **dict.fromkeys(("false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"), False),
}
_INFINITE = re.compile(r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


def parse_yaml(data: bytes, where: str) -> Plain:
    """Return the single document in `data`. Raises CheckpointError (too large, too deep, tags, not YAML, ...)."""
    import yaml

    if len(data) > MAX_BYTES:
        raise CheckpointError(f"{where}: expected at most {MAX_BYTES:,} bytes, got {len(data):,}")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise CheckpointError(
            f"{where}: expected UTF-8 text, got byte {data[error.start]:#04x} at offset {error.start}"
        ) from error
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    builder = _Builder(where)
    try:
        for event in yaml.parse(text, Loader=loader):
            builder.feed(event)
    except yaml.YAMLError as error:
        reason = " ".join(str(error).split())[:200]
        raise CheckpointError(f"{where}: expected YAML, got something else ({reason})") from error
    except (ValueError, RecursionError, MemoryError) as error:
        raise CheckpointError(f"{where}: expected YAML, got something unreadable ({type(error).__name__})") from error
    return builder.result()


class _Builder:
    """Builds plain objects from parser events with an explicit stack."""

    def __init__(self, where: str) -> None:
        self._where = where
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Plain, int]] = {}
        self._documents: list[Plain] = []
        self._aliases = 0
        self._items = 0

    def result(self) -> Plain:
        if len(self._documents) != 1:
            raise self._error("one document", str(len(self._documents)))
        return self._documents[0]

    def feed(self, event: Any) -> None:
        kind = type(event).__name__
        if kind in ("MappingStartEvent", "SequenceStartEvent"):
            self._check_tag(event)
            if len(self._stack) >= MAX_DEPTH:
                raise self._error(f"nesting of at most {MAX_DEPTH} levels", "more")
            self._stack.append(_Open({} if kind == "MappingStartEvent" else [], event.anchor, self._items))
        elif kind in ("MappingEndEvent", "SequenceEndEvent"):
            done = self._stack.pop()
            self._put(done.value, done.anchor, self._items - done.items_before)
        elif kind == "ScalarEvent":
            self._check_tag(event)
            self._put(_scalar(event.value) if event.implicit[0] else event.value, event.anchor, 0)
        elif kind == "AliasEvent":
            self._aliases += 1
            if self._aliases > MAX_ALIASES:
                raise self._error(f"at most {MAX_ALIASES} aliases", "more")
            if event.anchor not in self._anchors:
                raise self._error("an alias of something complete", f"*{event.anchor[:40]}")
            value, items = self._anchors[event.anchor]
            self._items += items
            self._put(value, None, 0)

    def _put(self, value: Plain, anchor: str | None, items: int) -> None:
        self._items += 1
        if self._items > MAX_ITEMS:
            raise self._error(f"at most {MAX_ITEMS:,} keys and values", "more")
        if anchor is not None:
            self._anchors[anchor] = (value, items)
        if not self._stack:
            self._documents.append(value)
            return
        parent = self._stack[-1]
        if isinstance(parent.value, list):
            parent.value.append(value)
        elif parent.key is None:
            value = str(value) if isinstance(value, int | float) else value
            if not isinstance(value, str) or len(value) > MAX_KEY or value == "<<":
                raise self._error("text as key", f"{type(value).__name__} ({repr(value)[:40]})")
            if value in parent.value:
                raise self._error("every key once", f"{value[:60]!r} twice")
            parent.key = value
        else:
            parent.value[parent.key] = value
            parent.key = None

    def _check_tag(self, event: Any) -> None:
        if event.tag not in (None, "!", "tag:yaml.org,2002:str"):
            raise self._error("no tags", repr(event.tag[:80]))

    def _error(self, expected: str, got: str) -> CheckpointError:
        return CheckpointError(f"{self._where}: expected {expected}, got {got}")


class _Open:
    """A mapping or a list that is not complete yet."""

    def __init__(self, value: dict[str, Plain] | list[Plain], anchor: str | None, items_before: int) -> None:
        self.value = value
        self.anchor = anchor
        self.items_before = items_before
        self.key: str | None = None


def _scalar(text: str) -> str | int | float | bool | None:
    if text in _SPECIAL:
        return _SPECIAL[text]
    if _INT.fullmatch(text):
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text)
    if _INFINITE.fullmatch(text):
        return float(text.replace(".", "").lower())
    return text
