"""Reading files with limits, and writing them atomically."""

from __future__ import annotations

import os
import stat
from pathlib import Path

from zeroq_asr.errors import FileError


def write_atomically(path: str | Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees either the old file or the complete new one.

    The bytes are written to a temporary file in the same folder and flushed to disk; then the file is renamed. Missing
    parent folders are created. What is not a regular file (/dev/stdout, a pipe) is written to directly. Raises
    FileError (folder not writable, disk full, `path` is a folder); the old file survives.
    """
    import tempfile  # slow to import; processes that only read do not need it

    target = Path(path)
    temporary: str | None = None
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.exists() and not (target.is_file() or target.is_dir()):  # /dev/stdout, /dev/null, a pipe
            target.write_bytes(data)
            return
        if target.is_dir():
            raise _is_folder(target)
        handle, temporary = tempfile.mkstemp(prefix=f".{target.name}.", suffix=".part", dir=target.parent)
        with os.fdopen(handle, "wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        # mkstemp makes private files; a result should have the usual permissions of this user.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(temporary, 0o666 & ~umask)
        os.replace(temporary, target)
        temporary = None
    except OSError as error:
        raise _unwritable(target, error.strerror or str(error)) from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def check_writable(*paths: str | Path | None) -> None:
    """Raise FileError for a path that `write_atomically` could not write, before the work that makes the result.

    None is ignored: it stands for a file that was not requested. Nothing is created or changed.
    """
    for target in (Path(path) for path in paths if path is not None):
        if target.is_dir():
            raise _is_folder(target)
        if target.exists() and not target.is_file():  # /dev/stdout, a pipe
            continue
        folder = next(parent for parent in target.parents if parent.exists())
        if not folder.is_dir():
            raise _unwritable(target, f"{folder} is not a folder")
        if not os.access(folder, os.W_OK | os.X_OK):
            raise _unwritable(target, f"{folder} is not writable")


def _is_folder(target: Path) -> FileError:
    return FileError(f"{target}: expected the name of a file to write, got a folder; give a file name in it")


def _unwritable(target: Path, reason: str) -> FileError:
    return FileError(
        f"{target}: could not be written ({reason}); nothing was changed, free space or choose another --output"
    )


def read_file(path: str | Path, max_bytes: int) -> bytes:
    """Return the content of the regular file `path`; a file of more than `max_bytes` is refused before it is read.

    Raises FileError: missing, a folder or device, unreadable, too large.
    """
    source = Path(path)
    try:
        with open(source, "rb") as stream:
            status = os.fstat(stream.fileno())
            if not stat.S_ISREG(status.st_mode):
                raise FileError(f"{source}: expected a regular file, got something else; give the path of a file")
            if status.st_size > max_bytes:
                raise FileError(
                    f"{source}: expected at most {max_bytes:,} bytes, got {status.st_size:,}; is this the right file?"
                )
            data = stream.read(max_bytes + 1)
    except FileNotFoundError as error:
        raise FileError(f"{source}: no such file; check the path") from error
    except IsADirectoryError as error:
        raise FileError(f"{source}: expected a file, got a folder; give the path of a file") from error
    except OSError as error:
        raise FileError(f"{source}: could not be read ({error.strerror or error})") from error
    if len(data) > max_bytes:
        raise FileError(f"{source}: grew beyond {max_bytes:,} bytes while it was read; is a process still writing it?")
    return data
