"""How fast this processor can multiply and add at all: the yardstick of benchmarks."""

from __future__ import annotations

import time
from collections.abc import Callable
from ctypes import POINTER, c_int32, c_int64, c_void_p

from int_kernels.backends.native.executable import find_kernels, library_path, load_library
from int_kernels.errors import KernelError

_CODES = 0x3B15D72C
_MOST_ROUNDS = 1 << 24


def measure_peak(
    kernels: str = "", nanoseconds: int = 20_000_000, clock: Callable[[], int] = time.thread_time_ns
) -> tuple[int, int]:
    """(products added up, nanoseconds) of the instructions of a table's dense loop, on registers and nothing else.

    kernels: a name of `available_kernels()`; "" is the one in use. Runs for about twice as long as `nanoseconds`, on
    the caller's thread; `clock` counts nanoseconds, by default those that the thread had a processor. The products of
    N threads add up when N threads call this at once. Raises KernelError.
    """
    path = library_path()
    if path is None:
        raise KernelError("measure_peak: nothing is built; run `pip install -e .` with a C compiler at hand")
    library = load_library(path)
    run, table, codes = library.zq_peak, find_kernels(library, kernels), c_int32(_CODES)
    run.argtypes, run.restype = [c_void_p, c_int32, POINTER(c_int32)], c_int64
    rounds = 1 << 10
    while True:
        start = clock()
        products = int(run(table, rounds, codes))
        spent = clock() - start
        if spent >= nanoseconds or rounds >= _MOST_ROUNDS:
            return products, max(spent, 1)
        rounds *= 2
