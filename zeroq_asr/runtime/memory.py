"""What the C library keeps of memory that has been freed. Only glibc is asked; elsewhere nothing happens."""

from __future__ import annotations

import ctypes
from typing import Any

_M_MMAP_THRESHOLD = -3
_LARGE_BYTES = 1 << 16


def map_large_arrays_separately() -> None:
    """From now on arrays of 64 KB and more live in pages of their own, which the system gets back as they are freed.

    By itself glibc does so from 128 KB at first and, as arrays are freed, from larger and larger ones; what smaller
    ones leave behind stays with the process. For a process that loads one model; temporary arrays cost a little more.
    """
    _call("mallopt", _M_MMAP_THRESHOLD, _LARGE_BYTES)


def release_freed_memory() -> None:
    """Give the system all whole pages that have been freed."""
    _call("malloc_trim", 0)


def _call(name: str, *arguments: int) -> None:
    try:
        function: Any = getattr(ctypes.CDLL(None), name)
    except (AttributeError, OSError, TypeError):
        return
    function(*arguments)
