"""Control over the freed memory that the C library keeps. It works with glibc; elsewhere the functions do nothing."""

from __future__ import annotations

import ctypes
from typing import Any

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1 << 16


def map_large_arrays_separately() -> None:
    """Map arrays of 64 KB and more separately, so that the system gets their memory back as soon as they are freed.

    glibc's own threshold is 128 KB at first and grows as arrays are freed; memory of smaller arrays stays with the
    process. Use this in a process that loads one model; temporary arrays become slightly slower.
    """
    _call("mallopt", _M_MMAP_THRESHOLD, _LARGE_BYTES)


def release_freed_memory() -> None:
    """Return all freed whole pages to the system."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    try:
        function: Any = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return
    function(*arguments)
