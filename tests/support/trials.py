"""Programs with known results as one file for `run_trials.c`, and the bodies of other tests as the source of them."""

from __future__ import annotations

import itertools
import struct
from collections.abc import Callable, Iterable, Iterator
from ctypes import Structure, addressof, c_void_p, cast, sizeof, string_at
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from int_kernels import Program, Step, compile_program
from int_kernels.backends.native.layout import Layout, ProgramStruct, StepStruct, ValueStruct
from support import random_programs


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


class Recorder:
    """Stands for `compile_program` in the body of a test: every executable is the reference, every run is kept."""

    def __init__(self) -> None:
        self._trials: dict[tuple[int, int], Trial] = {}

    @property
    def trials(self) -> list[Trial]:
        return list(self._trials.values())

    def compile_program(self, program: Program, backend: str = "native") -> _Recorded:
        return _Recorded(self, program)

    def outputs(self, program: Program, x: NDArray[Any]) -> tuple[NDArray[Any], ...]:
        key = id(program), id(x)  # both stay alive in the trial
        if key not in self._trials:
            (outputs,) = compile_program(program, "reference").run([x])
            self._trials[key] = Trial(program, x, outputs)
        return self._trials[key].outputs


@dataclass(frozen=True)
class _Recorded:
    recorder: Recorder
    program: Program

    def run(self, xs: list[NDArray[Any]], threads: int = 1) -> list[tuple[NDArray[Any], ...]]:
        return [self.recorder.outputs(self.program, x) for x in xs]


def _parameters(test: Callable[..., None]) -> Iterable[dict[str, Any]]:
    """Every combination of what `pytest.mark.parametrize` gives this test."""
    choices: list[list[dict[str, Any]]] = []
    for mark in getattr(test, "pytestmark", []):
        given = mark.args[0]
        names = [name.strip() for name in given.split(",")] if isinstance(given, str) else list(given)
        rows = [[value] if len(names) == 1 else value for value in mark.args[1]]
        choices.append([dict(zip(names, row, strict=True)) for row in rows])
    for combination in itertools.product(*choices):
        yield {name: value for part in combination for name, value in part.items()}


def record(module: ModuleType, names: Iterable[str], monkeypatch: pytest.MonkeyPatch) -> list[Trial]:
    """What the tests of `module` with these names run on a table of inner loops."""
    recorder = Recorder()
    with monkeypatch.context() as patch:
        for place in (module, random_programs):  # the body itself, and `assert_native`
            if hasattr(place, "compile_program"):
                patch.setattr(place, "compile_program", recorder.compile_program)
        for name in names:
            test = getattr(module, name)
            for parameters in _parameters(test):
                test(kernels="recorded", **parameters)
    return recorder.trials
