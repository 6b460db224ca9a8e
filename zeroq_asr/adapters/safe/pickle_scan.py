"""A safe interpreter of torch pickles: it describes what a pickle would build without building it.

A state dict needs only a few pickle opcodes and three kinds of names. This reader interprets exactly those, on inert
objects of its own, and refuses all others; so a file that passes contains nothing that could be called. It returns the
description of every tensor and checks its bounds. Format: comments in CPython's pickletools; torch/serialization.py.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from zeroq_asr.errors import CheckpointError

MAX_OPCODES = 100_000
MAX_DIMENSIONS = 8

STORAGES: Mapping[str, tuple[str, int]] = {
    "DoubleStorage": ("float64", 8),
    "FloatStorage": ("float32", 4),
    "HalfStorage": ("float16", 2),
    "BFloat16Storage": ("bfloat16", 2),
    "LongStorage": ("int64", 8),
    "IntStorage": ("int32", 4),
    "ShortStorage": ("int16", 2),
    "CharStorage": ("int8", 1),
    "ByteStorage": ("uint8", 1),
    "BoolStorage": ("bool", 1),
}
_ORDERED_DICT = "collections.OrderedDict"
_REBUILD_TENSOR = "torch._utils._rebuild_tensor_v2"
_ALLOWED = frozenset({_ORDERED_DICT, _REBUILD_TENSOR, *(f"torch.{name}" for name in STORAGES)})


@dataclass(frozen=True)
class StorageRecord:
    """A storage that the pickle refers to: `numel` items of `itemsize` bytes under `key`."""

    key: str
    dtype: str
    itemsize: int
    numel: int


@dataclass(frozen=True)
class TensorRecord:
    """A tensor that the pickle describes: a view of `storage`."""

    storage: StorageRecord
    shape: tuple[int, ...]


@dataclass(frozen=True)
class _Global:
    name: str


class _Mark:
    pass


def scan_pickle(data: bytes, position: int, where: str) -> tuple[Any, int]:
    """Interpret the pickle that starts at `position`; return its description and the position behind it.

    The description consists of dict, tuple, list, str, int, bool, None and TensorRecord. Raises CheckpointError.
    """
    machine = _Machine(data, position, where)
    return machine.run(), machine.position


class _Machine:
    """Pickle's stack machine, restricted to plain data."""

    def __init__(self, data: bytes, position: int, where: str) -> None:
        self._data = data
        self.position = position
        self._where = where
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        for _ in range(MAX_OPCODES):
            opcode = self._take(1)
            if opcode == b".":
                result = self._pop()
                if self._stack:
                    raise self._error("one object", "more behind it")
                return result
            action = _ACTIONS.get(opcode)
            if action is None:
                raise self._error("only what a state dict needs", f"pickle opcode {opcode!r}")
            action(self)
        raise self._error(f"at most {MAX_OPCODES:,} pickle opcodes", "more")

    # ---- data ----------------------------------------------------------------------------------------------------

    def _error(self, expected: str, got: str) -> CheckpointError:
        return CheckpointError(
            f"{self._where}: expected {expected}, got {got} (offset {self.position}); the file is damaged or hostile"
        )

    def _take(self, count: int) -> bytes:
        chunk = self._data[self.position : self.position + count]
        if len(chunk) != count:
            raise self._error("a complete pickle", "a truncated one")
        self.position += count
        return chunk

    def _number(self, layout: str) -> int:
        value: int = struct.unpack(layout, self._take(struct.calcsize(layout)))[0]
        return value

    def _line(self) -> str:
        end = self._data.find(b"\n", self.position, self.position + 200)
        if end < 0:
            raise self._error("a name", "none")
        line = self._take(end + 1 - self.position)[:-1]
        return line.decode("ascii", "backslashreplace")

    def _pop(self) -> Any:
        if not self._stack or isinstance(self._stack[-1], _Mark):
            raise self._error("an operand", "an empty stack")
        return self._stack.pop()

    def _pop_to_mark(self) -> list[Any]:
        items: list[Any] = []
        while self._stack:
            item = self._stack.pop()
            if isinstance(item, _Mark):
                return items[::-1]
            items.append(item)
        raise self._error("a mark", "none")

    # ---- opcodes -------------------------------------------------------------------------------------------------

    def protocol(self) -> None:
        version = self._number("<B")
        if version != 2:
            raise self._error("pickle protocol 2, which torch.save writes", str(version))

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def text(self) -> None:
        length = self._number("<I")
        raw = self._take(length)
        try:
            self.push(raw.decode("utf-8"))
        except UnicodeDecodeError as error:
            raise self._error("UTF-8 text", "other bytes") from error

    def integer(self, layout: str) -> None:
        self.push(self._number(layout))

    def long(self) -> None:
        self.push(int.from_bytes(self._take(self._number("<B")), "little", signed=True))

    def tuple(self, count: int) -> None:
        items = [self._pop() for _ in range(count)]
        self.push(tuple(items[::-1]))

    def tuple_to_mark(self) -> None:
        self.push(tuple(self._pop_to_mark()))

    def put(self, layout: str) -> None:
        index = self._number(layout)
        value = self._pop()
        self._memo[index] = value
        self.push(value)

    def get(self, layout: str) -> None:
        index = self._number(layout)
        if index not in self._memo:
            raise self._error("a memo entry that exists", str(index))
        self.push(self._memo[index])

    def extend(self) -> None:
        items, target = self._pop_to_mark(), self._pop()
        if not isinstance(target, list):
            raise self._error("a list", type(target).__name__)
        target.extend(items)
        self.push(target)

    def set_items(self, pairs: list[Any]) -> None:
        target = self._pop()
        if not isinstance(target, dict) or len(pairs) % 2:
            raise self._error("a dictionary and pairs", type(target).__name__)
        for key, value in zip(pairs[::2], pairs[1::2], strict=True):
            if not isinstance(key, str):
                raise self._error("text as key", type(key).__name__)
            if key in target:
                raise self._error("every key once", f"{key[:120]!r} twice")
            target[key] = value
        self.push(target)

    def set_item(self) -> None:
        value, key = self._pop(), self._pop()
        self.set_items([key, value])

    def name(self) -> None:
        full = f"{self._line()}.{self._line()}"
        if full not in _ALLOWED:
            raise self._error("only names that a state dict needs", f"a call of {full!r}")
        self.push(_Global(full))

    def build(self) -> None:
        state, target = self._pop(), self._pop()
        # torch attaches the version numbers of modules to its OrderedDict as the attribute _metadata.
        if not isinstance(target, dict) or not isinstance(state, dict) or set(state) != {"_metadata"}:
            raise self._error("a state dict with '_metadata'", f"attributes for a {type(target).__name__}")
        self.push(target)

    def storage(self) -> None:
        reference = self._pop()
        fits = isinstance(reference, tuple) and len(reference) in (5, 6) and reference[0] == "storage"
        if not fits or (len(reference) == 6 and reference[5] is not None):
            raise self._error("a reference to a storage", "something else")
        kind, key, location, numel = reference[1:5]
        if not isinstance(kind, _Global) or kind.name.removeprefix("torch.") not in STORAGES:
            raise self._error("a storage of numbers", "something else")
        if not isinstance(key, str) or not isinstance(location, str) or not _is_count(numel):
            raise self._error("a storage with key, location and size", "something else")
        dtype, itemsize = STORAGES[kind.name.removeprefix("torch.")]
        self.push(StorageRecord(key, dtype, itemsize, numel))

    def reduce(self) -> None:
        arguments, function = self._pop(), self._pop()
        if function == _Global(_ORDERED_DICT) and arguments == ():
            self.push({})
        elif function == _Global(_REBUILD_TENSOR) and isinstance(arguments, tuple) and len(arguments) == 6:
            self.push(self._tensor(*arguments))
        else:
            raise self._error("a tensor or an empty OrderedDict", "another call")

    def _tensor(self, storage: Any, offset: Any, shape: Any, stride: Any, grad: Any, hooks: Any) -> TensorRecord:
        if not isinstance(storage, StorageRecord) or not isinstance(grad, bool) or hooks != {} or not _is_count(offset):
            raise self._error("a plain tensor", "one with hooks or without storage")
        for sizes in (shape, stride):
            if (
                not isinstance(sizes, tuple)
                or len(sizes) > MAX_DIMENSIONS
                or not all(_is_count(size) for size in sizes)
            ):
                raise self._error("a shape and strides", "something else")
        if len(shape) != len(stride):
            raise self._error("as many strides as dimensions", f"{len(stride)} for {len(shape)}")
        numel = math.prod(shape)
        last = sum((size - 1) * step for size, step in zip(shape, stride, strict=True))
        if numel == 0 or numel > storage.numel or offset + last >= storage.numel:
            raise self._error(f"a tensor inside its storage of {storage.numel:,} items", "an empty or larger one")
        return TensorRecord(storage, shape)


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 62


_ACTIONS: Mapping[bytes, Callable[[_Machine], None]] = {
    b"\x80": _Machine.protocol,
    b"(": lambda m: m.push(_Mark()),
    b")": lambda m: m.push(()),
    b"}": lambda m: m.push({}),
    b"]": lambda m: m.push([]),
    b"e": _Machine.extend,
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"X": _Machine.text,
    b"J": lambda m: m.integer("<i"),
    b"K": lambda m: m.integer("<B"),
    b"M": lambda m: m.integer("<H"),
    b"\x8a": _Machine.long,
    b"\x85": lambda m: m.tuple(1),
    b"\x86": lambda m: m.tuple(2),
    b"\x87": lambda m: m.tuple(3),
    b"t": _Machine.tuple_to_mark,
    b"q": lambda m: m.put("<B"),
    b"r": lambda m: m.put("<I"),
    b"h": lambda m: m.get("<B"),
    b"j": lambda m: m.get("<I"),
    b"s": _Machine.set_item,
    b"u": lambda m: m.set_items(m._pop_to_mark()),
    b"c": _Machine.name,
    b"R": _Machine.reduce,
    b"b": _Machine.build,
    b"Q": _Machine.storage,
}
