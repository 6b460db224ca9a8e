"""Programs with an utterance each, in families: what a test runs on every table, and an emulator once more."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeAlias

import numpy as np
import pytest
from _pytest.mark import ParameterSet
from numpy.typing import NDArray

from int_kernels import Program

Case: TypeAlias = tuple[Program, NDArray[np.int64]]
"""A program and its input [C, T]."""


@dataclass(frozen=True)
class Family:
    """`make` gives cases for every combination of its arguments' `choices`."""

    make: Callable[..., Iterator[Case]]
    choices: dict[str, tuple[Any, ...]]

    def calls(self) -> list[dict[str, Any]]:
        return [dict(zip(self.choices, values, strict=True)) for values in itertools.product(*self.choices.values())]

    def cases(self) -> Iterator[Case]:
        for arguments in self.calls():
            yield from self.make(**arguments)


def family(**choices: Iterable[Any]) -> Callable[[Callable[..., Iterator[Case]]], Family]:
    """Turns a generator of cases into a family."""
    return lambda make: Family(make, {name: tuple(values) for name, values in choices.items()})


def every_call(families: Iterable[Family]) -> list[ParameterSet]:
    """One parameter of a test for each call of each family: a function without arguments, named after them."""
    return [
        pytest.param(partial(one.make, **arguments), id="-".join([one.make.__name__, *map(_text, arguments.values())]))
        for one in families
        for arguments in one.calls()
    ]


def _text(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, tuple) else str(value)
