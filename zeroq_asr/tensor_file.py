"""Reader of safetensors files that loads one tensor at a time, each into its own memory.

Format: 8 bytes of header size (little-endian), the header (JSON: name -> dtype, shape, data_offsets; `__metadata__` ->
strings), then the data, which the tensors cover without gaps. The safetensors library maps the file, so that the whole
file is in memory beside the copies, and a file that is truncated while it is mapped ends the process with SIGBUS. Here
that is an error.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.errors import FileError

MAX_HEADER_BYTES = 100_000_000
"""The limit of the safetensors library."""

_MAX_AXES = 32
_MAX_BYTES = 2**63 - 1
_DTYPES: Mapping[str, str] = {
    **{"BOOL": "?", "U8": "u1", "U16": "<u2", "U32": "<u4", "U64": "<u8", "F16": "<f2", "F32": "<f4", "F64": "<f8"},
    **{"I8": "i1", "I16": "<i2", "I32": "<i4", "I64": "<i8"},
}
_METADATA = "__metadata__"

Array = npt.NDArray[Any]


class TensorFile:
    """An open safetensors file: `metadata`, `names` in the order of the data, and `read`."""

    def __init__(self, stream: BufferedReader, where: str) -> None:
        """Read the header. Raises FileError unless it is valid and its tensors cover the rest of the file."""
        self._stream, self._where = stream, where
        self._size = os.fstat(stream.fileno()).st_size
        header, self._start = self._header()
        metadata = header.pop(_METADATA, {})
        if not isinstance(metadata, dict) or not all(isinstance(text, str) for text in metadata.values()):
            raise self._error("its metadata values are not strings")
        self.metadata: Mapping[str, str] = metadata
        entries = {name: self._entry(name, entry) for name, entry in header.items()}
        # Of two tensors with the same start the empty one comes first.
        order = sorted(entries.items(), key=lambda item: (item[1][2], math.prod(item[1][1])))
        self._entries = dict(order)
        end = 0
        for name, (dtype, shape, start) in self._entries.items():
            if start != end:
                raise self._error(f"tensor {name!r:.60} does not start at the end of the previous one")
            end += dtype.itemsize * math.prod(shape)
        if end != self._size - self._start:
            raise self._error(f"expected {end:,} bytes of tensors, got {self._size - self._start:,}")

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the tensors, in the order of their data."""
        return tuple(self._entries)

    def read(self, name: str) -> Array:
        """Return a tensor, read-only, in its own memory. Raises FileError if the file is truncated."""
        dtype, shape, start = self._entries[name]
        array = np.empty(shape, dtype)
        self._stream.seek(self._start + start)
        if array.nbytes and self._stream.readinto(array.reshape(-1).view(np.uint8).data) != array.nbytes:
            raise self._error(f"tensor {name!r:.60} is truncated")
        array.flags.writeable = False
        return array

    def _header(self) -> tuple[dict[str, Any], int]:
        """Return the JSON of the header and the offset of the data."""
        length = int.from_bytes(self._stream.read(8), "little")
        if not 2 <= length <= min(MAX_HEADER_BYTES, self._size - 8):
            raise self._error(f"a header of {length:,} bytes does not fit into {self._size:,}")
        try:
            header = json.loads(self._stream.read(length))
        except (ValueError, RecursionError) as error:
            raise self._error(f"its header is not JSON: {error}") from error
        if not isinstance(header, dict):
            raise self._error("its header is not a JSON object")
        return header, 8 + length

    def _entry(self, name: str, entry: Any) -> tuple[np.dtype[Any], tuple[int, ...], int]:
        """Return dtype, shape and offset of a tensor, checked against each other and the size of the file."""
        try:
            dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
            start, end = entry["data_offsets"]
        except (KeyError, TypeError, ValueError) as error:
            raise self._error(f"tensor {name!r:.60} has no valid dtype, shape and data_offsets") from error
        if len(shape) > _MAX_AXES or not all(type(n) is int and 0 <= n <= self._size for n in (*shape, start, end)):
            raise self._error(f"tensor {name!r:.60} has sizes that do not fit into the file")
        if math.prod(max(1, n) for n in shape) * dtype.itemsize > _MAX_BYTES:  # numpy refuses even empty ones
            raise self._error(f"tensor {name!r:.60} has sizes that do not fit into memory")
        if end - start != dtype.itemsize * math.prod(shape):
            raise self._error(f"tensor {name!r:.60} of shape {shape} does not take {end - start:,} bytes")
        return dtype, shape, start

    def _error(self, what: str) -> FileError:
        return FileError(f"{self._where}: not a readable safetensors file ({what:.200}); is it complete?")


@contextmanager
def open_tensors(path: str | Path) -> Iterator[TensorFile]:
    """Open a safetensors file for the duration of the `with` block. Raises FileError: missing, unreadable, damaged."""
    if not os.path.isfile(path):
        raise FileError(f"{path}: no such file; check the path")
    try:
        with open(path, "rb") as stream:
            yield TensorFile(stream, str(path))
    except OSError as error:
        raise FileError(f"{path}: could not be read ({error.strerror or error})") from error
