"""Checks at the door: arrays hold integers in range, copied and made read-only; worker counts make sense."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import KernelError, RangeError, ShapeError

MAX_THREADS = 256


def integer_array(array: Any, dtype: type[np.signedinteger[Any]], axes: int, where: str) -> NDArray[Any]:
    """A read-only, contiguous copy of `array` as `dtype`; every number must already be an integer that fits.

    Raises KernelError when the numbers are not integers, ShapeError for another count of axes, RangeError when one
    does not fit.
    """
    given = np.asarray(array)
    if given.dtype.kind not in "iu":
        raise KernelError(f"{where}: needed integers; came dtype {given.dtype}; quantize before you get here")
    if given.ndim != axes:
        raise ShapeError(f"{where}: needed {axes} axes; came shape {given.shape}")
    info = np.iinfo(dtype)
    if given.size and given.dtype != dtype and (int(given.min()) < info.min or int(given.max()) > info.max):
        raise RangeError(f"{where}: needed numbers from {info.min} to {info.max}; came {given.min()} to {given.max()}")
    copy = np.array(given, dtype=dtype, order="C", copy=True)
    copy.setflags(write=False)
    return copy


def require_threads(threads: int) -> None:
    """Raises KernelError unless `threads` is an integer from 1 to 256."""
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise KernelError(f"threads: needed an integer from 1 to {MAX_THREADS}; came {threads!r}")
