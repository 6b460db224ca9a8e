"""The compiled executor: loading it, running programs on it, its status codes as exceptions.

setup.py compiles native/**/*.c into int_kernels/_native.so. It is loaded with ctypes, which releases
the interpreter's lock while C runs. ZEROQ_KERNELS names the table of inner loops ("c", "avx2", "avxvnni",
"avx512vl-vnni", "avx512vnni", "amx", on AArch64 "neon", "neon-dotprod"); unset, the best one for the processor is
taken.
"""

from __future__ import annotations

import ctypes
import os
import time
from collections.abc import Callable, Sequence
from ctypes import POINTER, Structure, c_char_p, c_int, c_int32, c_uint8, c_uint64, c_void_p
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.backends.native.layout import Layout, ProgramStruct
from int_kernels.backends.native.length_cache import (
    FRAMES_AT_ONCE,
    MAX_BYTES,
    LengthCache,
    LengthCacheStruct,
    cache_bytes,
    find_length_steps,
)
from int_kernels.errors import KernelError
from int_kernels.op_table import op_table_digest
from int_kernels.ops import Conv1d, Conv2d
from int_kernels.program import Program
from int_kernels.released_weights import release_weight
from int_kernels.validation import require_threads

FAILURES = {
    1: "the program's layout is unsound; this is a fault of int_kernels, please report it",
    2: "an utterance is too short or too long for the program",
    3: "the arena is too small; this is a fault of int_kernels, please report it",
    4: "there is not enough memory; run fewer or shorter utterances at once",
}


INTERFACE = 5 << 24 | op_table_digest()
"""zq_interface() of a library built from these sources: ZQ_INTERFACE of zq.h and the digest of op_table.h."""

_LINE = 64  # bytes of a line of the cache: packed weights start at one


class _Utterance(Structure):
    _fields_ = [("input", c_void_p), ("outputs", POINTER(c_void_p)), ("frames", c_int32)]


class _Kernels(Structure):
    _fields_ = [("name", c_char_p)]


class _State(Structure):
    _fields_ = [
        ("program", c_void_p),
        ("cache", c_void_p),
        ("data", POINTER(c_void_p)),
        ("frames", POINTER(c_int32)),
        ("pitch", POINTER(c_int32)),
        ("is_packed_k4", POINTER(c_uint8)),
    ]


def library_path() -> Path | None:
    """The shared object built from native/*.c, or None where it has not been built."""
    path = Path(__file__).parents[2].joinpath("_native.so")
    return path if path.is_file() else None


@cache
def load_library(path: Path) -> ctypes.CDLL:
    """The shared object at `path`, with the argument types of zq.h and scheduler.h declared.

    Raises KernelError for one that was built from sources with another interface.
    """
    library = ctypes.CDLL(str(path))
    found = library.zq_interface() if hasattr(library, "zq_interface") else 0
    if found != INTERFACE:
        raise KernelError(
            f"{path}: expected compiled kernels with interface {INTERFACE}, got {found}: they were built from other "
            "sources; build them again with `pip install -e .` or `python setup.py build_ext --inplace`"
        )
    library.zq_check.argtypes = [POINTER(ProgramStruct), POINTER(c_int32)]
    library.zq_values_bytes.argtypes = [POINTER(ProgramStruct), c_int32]
    library.zq_scratch_bytes.argtypes = library.zq_packed_bytes.argtypes = [
        POINTER(ProgramStruct),
        POINTER(_Kernels),
        c_int32,
    ]
    library.zq_values_bytes.restype = library.zq_scratch_bytes.restype = library.zq_packed_bytes.restype = c_uint64
    library.zq_pack.argtypes = [POINTER(ProgramStruct), POINTER(_Kernels), c_int32, c_void_p]
    library.zq_pack.restype = None
    library.zq_kernels_at.argtypes = [c_int32]
    library.zq_kernels_at.restype = POINTER(_Kernels)
    library.zq_run_many.argtypes = [
        POINTER(ProgramStruct),
        POINTER(_Kernels),
        POINTER(LengthCacheStruct),
        POINTER(_Utterance),
        c_int32,
        c_int32,
    ]
    library.zq_prepare.argtypes = [
        POINTER(ProgramStruct),
        POINTER(_Kernels),
        POINTER(LengthCacheStruct),
        c_int32,
        c_void_p,
        POINTER(c_void_p),
        c_void_p,
        POINTER(_State),
    ]
    library.zq_units.argtypes = [POINTER(_Kernels), POINTER(_State), c_int32]
    library.zq_units.restype = c_int32
    library.zq_run_units.argtypes = [POINTER(_Kernels), POINTER(_State), c_int32, c_int32, c_int32, c_void_p]
    library.zq_run_units.restype = None
    library.zq_check.restype = library.zq_run_many.restype = library.zq_prepare.restype = c_int
    return library


class NativeExecutable:
    """A program laid out for the C executor; it holds the arrays that C reads.

    release_weights: release the program's weights step by step as they are packed, so that they are in memory once. The
    program cannot be compiled or run again then (KernelError).
    """

    def __init__(self, program: Program, library: Path | None = None, release_weights: bool = False) -> None:
        path = library or library_path()
        if path is None:
            raise KernelError("backend 'native': it is not built; run `pip install -e .` with a C compiler at hand")
        self.program = program
        self._library = load_library(path)
        self._kernels = find_kernels(self._library)
        self._layout = Layout(program)
        faulty = c_int32()
        if self._library.zq_check(self._layout.program, faulty):
            raise KernelError(f"backend 'native', step {faulty.value}: {FAILURES[1]}")
        self._packed = self._pack(release_weights)
        self._length_steps = find_length_steps(program)
        self._length_cache: LengthCache | None = None

    def _pack(self, release_weights: bool) -> list[NDArray[np.uint8]]:
        """The weights in the order of the inner loops in use, one array per step that wants one.

        All lie in one piece of memory, in the order of the steps: kernels fetch what comes next, and the system can
        give large pages.
        """
        layout, packed = self._layout.program, list[NDArray[np.uint8]]()
        sizes = [self._library.zq_packed_bytes(layout, self._kernels, i) for i in range(len(self.program.steps))]
        places = np.cumsum([0, *(-(-size // _LINE) * _LINE for size in sizes)])
        memory = np.empty(places[-1] + _LINE, np.uint8)
        memory = memory[-memory.ctypes.data % _LINE :]
        for index, (step, size, place) in enumerate(zip(self.program.steps, sizes, places, strict=False)):
            if size:
                packed.append(memory[place : place + size])
                self._library.zq_pack(layout, self._kernels, index, packed[-1].ctypes.data)
                layout.steps[index].packed = packed[-1].ctypes.data
                if release_weights and isinstance(step, Conv1d | Conv2d):
                    release_weight(step)
                    self._layout.drop_weight(index, step)
        return packed

    @property
    def kernels(self) -> str:
        """Name of the table of inner loops in use."""
        name: bytes = self._kernels.contents.name
        return name.decode()

    @property
    def packed_bytes(self) -> int:
        """Bytes of the weights in the order of the inner loops in use."""
        return sum(array.nbytes for array in self._packed)

    @property
    def constant_bytes(self) -> int:
        """Bytes of all that the program reads and never writes: weights in the order in use, or as they are, tables."""
        return self.packed_bytes + self._layout.nbytes

    def memory_bytes(self, frames: int) -> int:
        """Bytes that one worker needs for an utterance of `frames`, the caller's input and outputs not counted."""
        layout, library = self._layout.program, self._library
        return int(library.zq_values_bytes(layout, frames) + library.zq_scratch_bytes(layout, self._kernels, frames))

    def run(self, inputs: Sequence[NDArray[Any]], threads: int = 1) -> list[tuple[NDArray[Any], ...]]:
        """One tuple of outputs [C, T'] per utterance [C, T]; see `Executable.run`."""
        require_threads(threads)
        checked = [self.program.check_input(x, f"utterance {i}") for i, x in enumerate(inputs)]
        results = [self._empty_outputs(x.shape[1]) for x in checked]
        utterances = (_Utterance * len(checked))()
        for utterance, x, outputs in zip(utterances, checked, results, strict=True):
            utterance.input = x.ctypes.data
            utterance.outputs = (c_void_p * len(outputs))(*(y.ctypes.data for y in outputs))
            utterance.frames = x.shape[1]
        layout = self._layout.program
        cache = self._cache_for(max((x.shape[1] for x in checked), default=0))
        struct = cache.struct if cache else None
        status = self._library.zq_run_many(layout, self._kernels, struct, utterances, len(checked), threads)
        if status:
            raise KernelError(f"backend 'native': {FAILURES[status]}")
        return results

    def profile(self, x: NDArray[Any], clock: Callable[[], int] = time.perf_counter_ns) -> list[tuple[str, str, int]]:
        """(y, op, nanoseconds) of each step, run one after the other on this thread for one utterance [C, T].

        clock: nanoseconds now; `time.thread_time_ns` leaves other programs out.
        """
        x = self.program.check_input(x)
        times: list[tuple[str, str, int]] = []
        cache = self._cache_for(x.shape[1])
        state, scratch, _hold = self._prepare(x, cache)
        for index, step in enumerate(self.program.steps):
            units, start = self._library.zq_units(self._kernels, state, index), clock()
            self._library.zq_run_units(self._kernels, state, index, 0, units, scratch)
            times.append((step.y, step.name, clock() - start))
        return times

    def _prepare(self, x: NDArray[Any], cache: LengthCache | None) -> tuple[_State, int, object]:
        """An utterance laid out to be run step by step, the address of a worker's scratch, and what must stay alive."""
        frames, layout, state = x.shape[1], self._layout.program, _State()
        outputs = self._empty_outputs(frames)
        pointers = (c_void_p * len(outputs))(*(y.ctypes.data for y in outputs))
        arena = np.zeros(self.memory_bytes(frames), np.uint8)
        scratch = arena.ctypes.data + self._library.zq_values_bytes(layout, frames)
        struct = cache.struct if cache else None
        status = self._library.zq_prepare(
            layout, self._kernels, struct, frames, x.ctypes.data, pointers, arena.ctypes.data, state
        )
        if status:
            raise KernelError(f"backend 'native': {FAILURES[status]}")
        return state, scratch, (x, cache, outputs, pointers, arena)

    def _cache_for(self, frames: int) -> LengthCache | None:
        """What depends on the length alone, for at least `frames`; None where that is nothing, or too much."""
        cache = self._length_cache
        if not self._length_steps or frames == 0 or (cache and cache.frames >= frames):
            return cache
        enough = min(-(-frames // FRAMES_AT_ONCE) * FRAMES_AT_ONCE, self.program.longest_input)
        for length in (enough, frames):
            if cache_bytes(self.program, self._length_steps, length) <= MAX_BYTES:
                self._length_cache = self._compute_cache(length)
                return self._length_cache
        return None

    def _compute_cache(self, frames: int) -> LengthCache:
        spec = self.program.spec(self.program.input)
        state, scratch, _hold = self._prepare(np.zeros((spec.channels, frames), spec.type.storage), None)
        numbers = {value.name: index for index, value in enumerate(self.program.values)}
        results = {}
        for index in self._length_steps:
            name = self.program.steps[index].y
            units = self._library.zq_units(self._kernels, state, index)
            self._library.zq_run_units(self._kernels, state, index, 0, units, scratch)
            results[name] = self._copy(state, numbers[name], name)
        return LengthCache(self.program, results, frames)

    def _copy(self, state: _State, number: int, name: str) -> NDArray[Any]:
        """A value [C, T] out of the arena."""
        spec = self.program.spec(name)
        frames, pitch = state.frames[number], state.pitch[number]
        size = spec.channels * pitch * spec.type.storage.itemsize
        rows = np.frombuffer((ctypes.c_char * size).from_address(state.data[number]), spec.type.storage)
        return rows.reshape(spec.channels, pitch)[:, :frames].copy()

    def _empty_outputs(self, frames: int) -> tuple[NDArray[Any], ...]:
        specs = [self.program.spec(name) for name in self.program.outputs]
        return tuple(
            np.empty((spec.channels, self.program.lengths[spec.name].of(frames)), spec.type.storage) for spec in specs
        )


def available_kernels(library: Path | None = None) -> tuple[str, ...]:
    """Names of the tables of inner loops that run on this processor, best first; none where nothing is built."""
    path = library or library_path()
    return tuple(name for name, _ in _tables(load_library(path))) if path is not None else ()


def _tables(library: ctypes.CDLL) -> list[tuple[str, Any]]:
    tables: list[tuple[str, Any]] = []
    while table := library.zq_kernels_at(len(tables)):
        tables.append((table.contents.name.decode(), table))
    return tables


def find_kernels(library: ctypes.CDLL, name: str = "") -> Any:
    """The table `name`, else what ZEROQ_KERNELS names, else the first. Raises KernelError for a name not there."""
    wanted = name or os.environ.get("ZEROQ_KERNELS", "")
    tables = _tables(library)
    for found, table in tables:
        if wanted in ("", found):
            return table
    names = ", ".join(found for found, _ in tables)
    raise KernelError(f"ZEROQ_KERNELS: expected one of {names}, got {wanted!r}; unset it for the best one")
