"""All operations of float graphs and the float64 simulations of integer steps, found in the files of this package.

A file that defines `OPS` adds operations; one that defines `SIMULATIONS` (class of step -> function) adds simulations.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from zeroq_asr.ops.base import Op

_SHARED = {
    "__init__",
    "base",
    "builder",
    "frames",
    "lowering",
    "moments",
    "registry",
    "signals",
    "simulation",
    "verify",
}
_MODULES = [
    importlib.import_module(f"zeroq_asr.ops.{path.stem}")
    for path in sorted(Path(__file__).parent.glob("*.py"))
    if path.stem not in _SHARED
]

OPS: Mapping[str, Op] = MappingProxyType({op.name: op for module in _MODULES for op in module.OPS})
"""Name of an operation -> all that is known of it."""

SIMULATIONS: Mapping[type[Any], Callable[..., Any]] = MappingProxyType(
    {step: function for module in _MODULES for step, function in getattr(module, "SIMULATIONS", {}).items()}
)
"""Class of an integer step -> its float64 simulation, a function of (step, operands [C, T]); imports torch."""

CONVOLUTIONS: tuple[str, ...] = tuple(op.name for op in OPS.values() if op.is_convolution)
"""Operations with weights; a linear layer is one of kernel 1."""
