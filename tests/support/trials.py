"""Programs with known results as one file for `run_trials.c`, from families of cases and from random programs."""

from __future__ import annotations

import struct
import subprocess
from collections.abc import Iterable, Iterator, Sequence
from ctypes import Structure, addressof, c_void_p, cast, sizeof, string_at
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from int_kernels import Program, Step, compile_program
from int_kernels.backends.native.layout import Layout, ProgramStruct, StepStruct, ValueStruct
from support.families import Family
from support.random_programs import ProgramSize, inputs, lengths, programs


@dataclass(frozen=True)
class Trial:
    """A program, one utterance [C, T], and what the reference makes of it."""

    program: Program
    x: NDArray[Any]
    outputs: tuple[NDArray[Any], ...]


class _Image:
    """Bytes whose pointers count from their start."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._pointers: list[int] = []

    def add(self, content: bytes) -> int:
        self._bytes += bytes(-len(self._bytes) % 64)
        place = len(self._bytes)
        self._bytes += content
        return place

    def point(self, place: int, to: int) -> None:
        struct.pack_into("<q", self._bytes, place, to)
        self._pointers.append(place)

    def add_array(self, array: NDArray[Any], place: int) -> None:
        self.point(place, self.add(array.tobytes()))

    def finish(self) -> bytes:
        count = len(self._pointers)
        return struct.pack(f"<{2 + count}q", len(self._bytes), count, *self._pointers) + bytes(self._bytes)


def _image(trial: Trial) -> bytes:
    """The struct `trial` of run_trials.c and all that it points to."""
    program, layout, image = trial.program, Layout(trial.program), _Image()
    structs, size = layout.program, sizeof(ProgramStruct)
    x = program.check_input(trial.x)
    image.add(bytes(structs) + struct.pack("<5q", 0, 0, 0, x.nbytes, x.shape[1]))
    values = image.add(string_at(structs.values, structs.values_count * sizeof(ValueStruct)))
    steps = image.add(string_at(structs.steps, structs.steps_count * sizeof(StepStruct)))
    image.point(ProgramStruct.values.offset, values)
    image.point(ProgramStruct.steps.offset, steps)
    arrays = {array.ctypes.data: array for array in layout.arrays}
    first = addressof(structs.steps[0])
    for index, step in enumerate(program.steps):
        for place, address in _pointers(structs.steps[index], step):
            image.add_array(arrays[address], steps + place - first)
    outputs = [
        np.ascontiguousarray(y, program.spec(name).type.storage)
        for y, name in zip(trial.outputs, program.outputs, strict=True)
    ]
    expected = image.add(bytes(8 * len(outputs)))
    image.add_array(x, size)
    image.point(size + 8, expected)
    image.add_array(np.array([y.nbytes for y in outputs], np.int64), size + 16)
    for i, y in enumerate(outputs):
        image.add_array(y, expected + 8 * i)
    return image.finish()


def _pointers(struct: StepStruct, step: Step) -> Iterator[tuple[int, int]]:
    """Where each pointer of a step to an array lies, and what it points to; packed weights left out."""
    members: list[Structure] = [struct]
    if step.native_struct is not None:
        members.append(getattr(struct.params, step.native_struct.name))
    for member in members:
        for name, kind in member._fields_:  # type: ignore[misc]
            if hasattr(kind, "contents"):
                address = cast(getattr(member, name), c_void_p).value
                if address is not None:
                    yield addressof(member) + getattr(type(member), name).offset, address


def write_trials(trials: Iterable[Trial], path: Path) -> Path:
    images = [_image(trial) for trial in trials]
    path.write_bytes(struct.pack("<q", len(images)) + b"".join(images))
    return path


def run_trials(command: Sequence[str], trials: Iterable[Trial], path: Path) -> subprocess.CompletedProcess[str]:
    """Runs a driver, `command`, on the trials, which are written to `path` first."""
    write_trials(trials, path)
    return subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)


def trial(program: Program, x: NDArray[Any]) -> Trial:
    (outputs,) = compile_program(program, "reference").run([x])
    return Trial(program, x, outputs)


def trials_of(families: Iterable[Family]) -> list[Trial]:
    """Every case of the families."""
    return [trial(program, x) for one in families for program, x in one.cases()]


def random_trials(examples: int, size: ProgramSize, longest: int, most_utterances: int) -> list[Trial]:
    """Utterances of up to `longest` frames through so many random programs, always the same ones."""
    trials: list[Trial] = []

    @settings(max_examples=examples)
    @given(
        program=programs(**size),
        seed=st.integers(0, 2**32 - 1),
        sizes=st.lists(lengths(longest), min_size=1, max_size=most_utterances),
    )
    def draw(program: Program, seed: int, sizes: list[int]) -> None:
        trials.extend(trial(program, x) for x in inputs(program, seed, sizes))

    draw()
    return trials
