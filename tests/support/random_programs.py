"""Programs and inputs that hypothesis makes up, and how results are compared."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypedDict

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy
from numpy.typing import NDArray

from int_kernels import INT32, Argmax, Program, ValueSpec, compile_program
from support.random_blocks import BLOCKS
from support.random_maker import CODE_TYPES, Maker, codes

__all__ = [
    "CODE_TYPES",
    "NARROW",
    "WIDE",
    "ProgramSize",
    "assert_native",
    "assert_same",
    "codes",
    "inputs",
    "lengths",
    "programs",
]


class ProgramSize(TypedDict, total=False):
    """Arguments of `programs`."""

    most_channels: int
    longest_kernel: int
    most_blocks: int


NARROW: ProgramSize = {"most_channels": 12, "longest_kernel": 9}
WIDE: ProgramSize = {"most_channels": 80, "longest_kernel": 33, "most_blocks": 3}


@st.composite
def programs(draw: DrawFn, most_channels: int = 6, longest_kernel: int = 5, most_blocks: int = 4) -> Program:
    """A sound program of any ops with logits and their argmax, and perhaps a value from inside, as outputs."""
    maker = Maker(draw, most_channels, longest_kernel)
    x = maker.values[0]
    ways: list[Callable[[ValueSpec], ValueSpec]] = [maker.any_conv, maker.residual]
    ways += [partial(block, maker) for block in BLOCKS]
    for _ in range(draw(st.integers(1, most_blocks))):
        x = draw(st.sampled_from(ways))(x)
    logits = maker.pointwise(x, draw(st.integers(1, most_channels)), INT32, is_raw=draw(st.booleans()))
    tokens = maker.value(1, INT32)
    maker.steps.append(Argmax(logits.name, tokens.name))
    outputs = [tokens.name, logits.name]
    inner = [step.y for step in maker.steps if step.y not in outputs]
    if len(inner) > 0 and draw(st.booleans()):
        outputs.append(draw(st.sampled_from(inner)))
    return Program(tuple(maker.values), tuple(maker.steps), maker.values[0].name, tuple(outputs))


def inputs(program: Program, seed: int, lengths: list[int]) -> list[NDArray[np.int64]]:
    """One utterance per length, made long enough for the program."""
    random = np.random.default_rng(seed)
    spec = program.spec(program.input)
    return [codes(random, (spec.channels, program.shortest_input - 1 + length), spec.type) for length in lengths]


def lengths(longest: int) -> SearchStrategy[int]:
    """1 to `longest` frames beyond the shortest possible, mostly few, often near a tile's edge."""
    near_tiles = [n for n in (63, 64, 65, 127, 128, 129) if n <= longest]
    return st.one_of(st.integers(1, min(longest, 9)), st.sampled_from([*near_tiles, longest]), st.integers(1, longest))


def assert_same(actual: Any, expected: Any, where: str = "") -> None:
    """Equal to the last number; the message names the first difference."""
    for output, (a, e) in enumerate(zip(actual, expected, strict=True)):
        assert a.shape == e.shape, f"{where} output {output}: shape {a.shape} for {e.shape}"
        different = np.argwhere(a.astype(np.int64) != e.astype(np.int64))
        if len(different):
            place = tuple(different[0])
            counts = f"{len(different)} of {a.size} differ"
            raise AssertionError(f"{where} output {output}: {counts}, first at {place}: {a[place]} for {e[place]}")


def assert_native(program: Program, x: NDArray[np.int64]) -> None:
    """native == reference on x [C, T], for 1 and 3 threads."""
    expected = compile_program(program, "reference").run([x])[0]
    for threads in (1, 3):
        assert_same(compile_program(program).run([x], threads)[0], expected, f"{threads} threads")
