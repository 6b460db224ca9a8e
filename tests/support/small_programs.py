"""The smallest steps and programs of the ops of attention and gating models: sound, until a test changes a field."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import numpy as np

from int_kernels import (
    INT8,
    UINT8,
    Activation,
    Attention,
    Conv1d,
    Conv2d,
    Dyadic,
    IntType,
    KernelError,
    LayerNorm,
    Mean,
    Positions,
    Program,
    Step,
    ValueSpec,
)

ONE = Dyadic(np.array([1 << 30]), np.array([30]))
SIX = Dyadic(np.full(6, 1 << 30), np.full(6, 30))
SIX_CODES = (6, INT8)

Hostile: TypeAlias = tuple[Callable[[], Any], type[KernelError], str]
"""What makes a wrong step or program, the error that refuses it, a pattern of its message."""


def program(*steps: Step, **types: tuple[int, IntType]) -> Program:
    """x: uint8 [6, T]; the last step's result is the output."""
    values = {"x": (6, UINT8)} | types
    return Program(tuple(ValueSpec(name, *pair) for name, pair in values.items()), steps, "x", (steps[-1].y,))


def conv2d(shape: tuple[int, int, int, int] = (2, 2, 3, 3), height: int = 3, **rest: Any) -> Conv2d:
    return Conv2d("x", "y", np.ones(shape, int), np.zeros(shape[0], int), height, **{"rescale": ONE, **rest})


def activation(kind: str = "swish", xs: Any = ("x",), rescales: Any = (ONE,), **rest: Any) -> Activation:
    return Activation(kind, xs, "y", rescales, **{"multiplier": 1 << 30, "shift": 40, **rest})


def norm(**rest: Any) -> LayerNorm:
    fields = {"epsilon": 5, "multipliers": np.ones(6, int), "bias": np.zeros(6, int), "shift": np.full(6, 14)}
    return LayerNorm("x", "y", **{**fields, **rest})


def table(pairs: int = 3, count: int = 64, value: int = 9) -> np.ndarray[Any, Any]:
    return np.full((2, pairs, count), value)


def positions(x: str = "x", y: str = "s", **rest: Any) -> Positions:
    return Positions(x, y, **{"fine": table(), "coarse": table(count=4), **rest})


def attention(p: str = "s", heads: int = 2, factor: int = 1 << 20, **rest: Any) -> Attention:
    fields = {"content": np.full(heads, factor), "position": np.full(heads, factor), "shift": 20, "rescale": ONE}
    return Attention("x", "x", "x", "x", p, "y", heads, **{**fields, **rest})


def attended(*steps: Step, **types: tuple[int, IntType]) -> Program:
    return program(positions(), *steps, **({"s": (6, INT8), "y": SIX_CODES} | types))


def mean(y: str = "g") -> Mean:
    return Mean("x", y, ONE)


def conv(x: str, y: str, channels: int = 6, **rest: Any) -> Conv1d:
    return Conv1d(x, y, np.ones((channels, channels, rest.pop("kernel", 1)), int), np.zeros(channels, int), **rest)
