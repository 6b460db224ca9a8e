"""What libraries in C and C++ say on a standard stream behind Python's back."""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from tempfile import TemporaryFile


@contextmanager
def capture_stdio(descriptor: int) -> Iterator[list[str]]:
    """Inside, what this process writes to file descriptor 1 or 2 goes nowhere; afterwards the list holds its lines.

    From C too, and from all threads: so around a single call only. The stream is put back whatever is raised inside.
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
    """Write out what Python's and C's buffers of the standard streams hold."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None:
            stream.flush()
    ctypes.CDLL(None).fflush(None)
