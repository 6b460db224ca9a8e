"""Reader of tar archives as a stream of members: nothing is extracted, and nothing is skipped silently.

Python's tarfile supports every variant of the format: links, sparse files, long names, numbers in base 256. A
checkpoint needs none of them, so this reader accepts plain files and folders only and refuses all other types by name.
Format: POSIX.1-2017, pax, "ustar Interchange Format".
"""

from __future__ import annotations

import gzip
import os
import re
import stat
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from zeroq_asr.errors import CheckpointError, FileError

BLOCK = 512
MAX_FILE_BYTES = 8 << 30
"""Largest archive that is opened."""
PLAIN_BYTES_FREE = 64 << 20
MAX_GZIP_RATIO = 20
"""A gzip stream may expand to PLAIN_BYTES_FREE + MAX_GZIP_RATIO times its size; weights are hardly compressible."""
MAX_MEMBERS = 64
MAX_PAX_BYTES = 4096
MAX_TRAILER_BYTES = 1 << 20
"""Largest number of zeros behind the end of the archive; tar pads its last record, of 10,240 bytes by default."""

_REFUSED_TYPES = {
    b"1": "a hard link",
    b"2": "a symbolic link",
    b"3": "a character device",
    b"4": "a block device",
    b"6": "a named pipe",
    b"7": "a contiguous file",
    b"g": "a global header",
    b"K": "a GNU long link",
    b"L": "a GNU long name",
    b"S": "a sparse file",
    b"V": "a volume label",
    b"M": "a part of a multi-volume archive",
    b"D": "a GNU folder dump",
}
# Python's tarfile writes these keys, e.g. for fractional times; they do not affect the content.
_HARMLESS_PAX_KEYS = frozenset({"mtime", "atime", "ctime", "uid", "gid", "uname", "gname", "comment"})


class TarMember:
    """One plain file of the archive; `read` must be called before the next member is requested."""

    def __init__(self, archive: TarStream, name: str, size: int) -> None:
        self._archive = archive
        self.name = name
        self.size = size

    def read(self, max_bytes: int) -> bytes:
        """Return the content. Raises CheckpointError if it is larger than `max_bytes` or truncated."""
        if self.size > max_bytes:
            raise self._archive.error(f"member {self.name!r}", f"at most {max_bytes:,} bytes", f"{self.size:,}")
        return self._archive.take(self)


class TarStream:
    """The members of an archive, in order; they can be read once."""

    def __init__(self, stream: BinaryIO, where: str, budget: int) -> None:
        self._stream = stream
        self._where = where
        self._budget = budget
        self._pending = 0

    def error(self, part: str, expected: str, got: str) -> CheckpointError:
        """Return the error for `part` of the file."""
        return CheckpointError(f"{self._where}: {part}: expected {expected}, got {got}; is this a complete .nemo file?")

    def members(self) -> Iterator[TarMember]:
        """Yield every plain file; folders are skipped, all other types are refused. Raises CheckpointError."""
        count = 0
        while (header := self._header()) is not None:
            name, size, kind = header
            count += 1
            if count > MAX_MEMBERS:
                raise self.error("archive", f"at most {MAX_MEMBERS} members", "more")
            if kind == b"x":
                self._check_pax(name, size)
                continue
            if kind == b"5":
                if size or _plain_name(name) is None:
                    raise self.error(f"folder {name[:80]!r}", "an empty entry with a relative name", f"{size} bytes")
                continue
            if kind not in (b"0", b"\0"):
                raise self.error(f"member {name[:80]!r}", "a plain file", _REFUSED_TYPES.get(kind, f"type {kind!r}"))
            plain = _plain_name(name)
            if not plain:
                raise self.error(f"member {name[:80]!r}", "a relative name without '..'", "another name")
            if size > self._budget:
                raise self.error(f"member {plain!r}", f"at most {self._budget:,} more bytes", f"{size:,}")
            self._pending = size
            yield TarMember(self, plain, size)
            self._skip(self._pending, size)

    def take(self, member: TarMember) -> bytes:
        """Return the bytes of the current member."""
        self._pending = 0
        return self._exactly(member.size, f"member {member.name!r}")

    def _skip(self, unread: int, size: int) -> None:
        self._pending = 0
        while unread:
            unread -= len(self._exactly(min(unread, 1 << 20), "skipped member"))
        if size % BLOCK:
            self._exactly(BLOCK - size % BLOCK, "padding")

    def _exactly(self, count: int, part: str) -> bytes:
        try:
            data = self._stream.read(count)
        except (OSError, EOFError, zlib.error) as error:
            raise self.error(part, "a readable stream", f"{type(error).__name__}: {str(error)[:80]}") from error
        self._budget -= len(data)
        if self._budget < 0:
            raise self.error("archive", f"a gzip stream that expands at most {MAX_GZIP_RATIO}-fold", "more")
        if len(data) != count:
            raise self.error(part, f"{count:,} bytes", f"{len(data):,} and then the end of the file")
        return data

    def _header(self) -> tuple[str, int, bytes] | None:
        block = self._exactly(BLOCK, "tar header")
        if block == bytes(BLOCK):
            self._check_end()
            return None
        if block[257:262] != b"ustar":
            raise self.error("tar header", "the word 'ustar'", repr(block[257:262]))
        checksum = sum(block[:148]) + 8 * 32 + sum(block[156:])
        if self._octal(block[148:156], "checksum") != checksum:
            raise self.error("tar header", "the checksum of the header", "another number")
        name = block[:100].split(b"\0", 1)[0]
        prefix = block[345:500].split(b"\0", 1)[0] if block[257:263] == b"ustar\0" else b""
        full = (prefix + b"/" + name if prefix else name).decode("utf-8", "backslashreplace")
        return full, self._octal(block[124:136], "size"), block[156:157]

    def _octal(self, field: bytes, part: str) -> int:
        digits = field.rstrip(b" \0").lstrip(b" ")
        if not re.fullmatch(rb"[0-7]{1,12}", digits):
            raise self.error(f"tar header, {part}", "an octal number", repr(field))
        return int(digits, 8)

    def _check_pax(self, name: str, size: int) -> None:
        if size > MAX_PAX_BYTES:
            raise self.error(f"pax header {name[:80]!r}", f"at most {MAX_PAX_BYTES} bytes", f"{size:,}")
        data = self._exactly(size, "pax header")
        self._skip(0, size)
        while data:
            match = re.match(rb"(\d{1,4}) ([A-Za-z.]{1,64})=", data)
            length = int(match[1]) if match else 0
            if match is None or not match.end() < length <= len(data) or data[length - 1 : length] != b"\n":
                raise self.error("pax header", "records 'length key=value'", repr(data[:40]))
            key = match[2].decode()
            if key not in _HARMLESS_PAX_KEYS:
                raise self.error("pax header", "times and owners only", f"the key {key!r}")
            data = data[length:]

    def _check_end(self) -> None:
        rest = self._exactly(BLOCK, "end of archive")
        left = MAX_TRAILER_BYTES
        while rest:
            if rest.strip(b"\0"):
                raise self.error("end of archive", "zeros", "more data behind the end")
            try:
                rest = self._stream.read(1 << 16)
            except (OSError, EOFError, zlib.error) as error:
                raise self.error("end of archive", "a readable stream", str(error)[:80]) from error
            left -= len(rest)
            if left < 0:
                raise self.error("end of archive", f"at most {MAX_TRAILER_BYTES:,} zeros", "more")


@contextmanager
def open_tar(path: Path) -> Iterator[TarStream]:
    """Open the plain or gzip-compressed tar at `path`. Raises FileError (missing, no regular file), CheckpointError."""
    try:
        # Non-blocking, because opening a named pipe must not wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError as error:
        raise FileError(f"{path}: no such file; check the path") from error
    except (OSError, ValueError) as error:
        raise FileError(f"{path}: could not be opened ({getattr(error, 'strerror', None) or error})") from error
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        os.close(descriptor)
        raise FileError(f"{path}: expected a file, got a folder or a device; give the path of a .nemo file")
    with os.fdopen(descriptor, "rb") as file:
        if status.st_size > MAX_FILE_BYTES:
            raise CheckpointError(f"{path}: expected at most {MAX_FILE_BYTES:,} bytes, got {status.st_size:,}")
        if file.read(2) == b"\x1f\x8b":
            file.seek(0)
            with gzip.GzipFile(fileobj=file) as plain:
                yield TarStream(plain, str(path), PLAIN_BYTES_FREE + MAX_GZIP_RATIO * status.st_size)  # type: ignore[arg-type]
        else:
            file.seek(0)
            yield TarStream(file, str(path), status.st_size)


def _plain_name(name: str) -> str | None:
    """Return `name` without a leading "./" ("" for the folder itself), None if it is absolute or contains ".."."""
    if name in (".", "./"):
        return ""
    parts = name.removeprefix("./").removesuffix("/").split("/")
    if any(part in ("", ".", "..") for part in parts) or "\\" in name or not name.isprintable():
        return None
    return "/".join(parts)
