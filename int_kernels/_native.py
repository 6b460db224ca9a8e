"""The compiled executor: loading, and its status codes as exceptions."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from int_kernels.errors import KernelError
from int_kernels.program import Program


def library_path() -> Path | None:
    """The shared object that setup.py builds from native/*.c, or None where it has not been built."""
    return None


class NativeExecutable:
    """A program laid out for the C executor."""

    def __init__(self, program: Program) -> None:
        raise KernelError("backend 'native': it is not built; run `pip install -e .` with a C compiler")

    program: Program

    def run(self, inputs: Sequence[NDArray[Any]], threads: int = 1) -> list[tuple[NDArray[Any], ...]]:
        raise KernelError("backend 'native': it is not built")
