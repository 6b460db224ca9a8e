"""What depends on nothing but the length of an utterance, computed once: relative positions and their projections.

Position 0 is the middle column of 2 * F - 1, and what stands in a column does not depend on F: values made for F
frames hold those of every shorter utterance in their middle.
"""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from ctypes import POINTER, Structure, c_int32, c_void_p

import numpy as np
from numpy.typing import NDArray

from int_kernels.program import Program

FRAMES_AT_ONCE = 256
"""Lengths are rounded up to a multiple of this, so that slowly growing ones do not compute everything each time."""
MAX_BYTES = 1 << 26
"""Values that together take more are computed for each utterance instead."""


class LengthCacheStruct(Structure):
    """zq_known of zq.h."""

    _fields_ = [("data", POINTER(c_void_p)), ("pitch", POINTER(c_int32)), ("frames", c_int32)]


def find_length_steps(program: Program) -> tuple[int, ...]:
    """Indices of the steps whose value depends on the utterance's length alone, frame by frame, in their order."""
    found: dict[str, int] = {}
    for index, step in enumerate(program.steps):
        from_length = step.reads_length_only or (step.is_framewise and all(name in found for name in step.inputs))
        if from_length and step.y not in program.outputs:
            found[step.y] = index
    return tuple(found.values())


def cache_bytes(program: Program, steps: Sequence[int], frames: int) -> int:
    """Bytes of the results of `steps` for an utterance of `frames`."""
    names = [program.steps[index].y for index in steps]
    specs = [program.spec(name) for name in names]
    return sum(spec.channels * program.lengths[spec.name].of(frames) * spec.type.storage.itemsize for spec in specs)


class LengthCache:
    """The results of some steps for utterances of up to `frames`, in the form that C reads."""

    def __init__(self, program: Program, results: dict[str, NDArray[np.generic]], frames: int) -> None:
        self.frames = frames
        self._results = results
        count = len(program.values)
        self._data, self._pitch = (c_void_p * count)(), (c_int32 * count)()
        for index, spec in enumerate(program.values):
            if spec.name in results:
                self._data[index] = results[spec.name].ctypes.data
                self._pitch[index] = results[spec.name].shape[1]
        self.struct = LengthCacheStruct(
            ctypes.cast(self._data, POINTER(c_void_p)), ctypes.cast(self._pitch, POINTER(c_int32)), frames
        )

    @property
    def nbytes(self) -> int:
        """Bytes of the results."""
        return sum(array.nbytes for array in self._results.values())
