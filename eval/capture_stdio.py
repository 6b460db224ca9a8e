"""Capture what C and C++ libraries write to a standard stream."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile


@contextmanager
def capture_stdio(descriptor: int) -> Iterator[list[str]]:
    """Capture what this process writes to file descriptor 1 or 2; on exit the yielded list has its lines.

    Output of C code and of all threads is captured, so wrap a single call only. The descriptor is restored on exit,
    also after an exception.
    """
    lines: list[str] = []
    _flush()
    kept = os.dup(descriptor)
    try:
        with TemporaryFile() as file:
            os.dup2(file.fileno(), descriptor)
            try:
                yield lines
            finally:
                _flush()
                os.dup2(kept, descriptor)
                file.seek(0)
                lines += file.read().decode(errors="replace").splitlines()
    finally:
        os.close(kept)


def _flush() -> None:
    """Flush the buffers of the standard streams, those of Python and those of C."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    ctypes.CDLL(None).fflush(None)
