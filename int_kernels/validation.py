"""Checks at the door: arrays hold integers in range, copied and made read-only; worker counts make sense."""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import KernelError, RangeError, ShapeError

MAX_THREADS = 256

IntegerArray: TypeAlias = NDArray[np.integer[Any]]
"""What a step or a Dyadic is given: integers of any width, which its checks bring to the width its docstring states."""


def integer_array(array: Any, dtype: type[np.signedinteger[Any]], axes: int, where: str) -> NDArray[Any]:
    """`array` as `dtype`, contiguous and read-only; every number must already be an integer that fits.

    A copy, unless `array` is all this already and so is all that it is a view of: large weights are held once then.
    Raises KernelError when the numbers are not integers, ShapeError for another count of axes, RangeError when one
    does not fit.
    """
    given = np.asarray(array)
    if given.dtype.kind not in "iu":
        raise KernelError(f"{where}: expected integers, got dtype {given.dtype}; quantize before you get here")
    if given.ndim != axes:
        raise ShapeError(f"{where}: expected {axes} axes, got shape {given.shape}")
    info = np.iinfo(dtype)
    if given.size and given.dtype != dtype and (int(given.min()) < info.min or int(given.max()) > info.max):
        raise RangeError(f"{where}: expected numbers from {info.min} to {info.max}, got {given.min()} to {given.max()}")
    if given.dtype == dtype and given.flags.c_contiguous and _is_frozen(given):
        return given
    copy = np.array(given, dtype=dtype, order="C", copy=True)
    copy.setflags(write=False)
    return copy


def _is_frozen(array: NDArray[Any]) -> bool:
    """Nobody holds these numbers as something to write to: not through this array nor through what it is a view of."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    return owner is None or isinstance(owner, bytes)


def require_threads(threads: int) -> None:
    """Raises KernelError unless `threads` is an integer from 1 to 256."""
    if isinstance(threads, bool) or not isinstance(threads, int) or not 1 <= threads <= MAX_THREADS:
        raise KernelError(f"threads: expected an integer from 1 to {MAX_THREADS}, got {threads!r}")
