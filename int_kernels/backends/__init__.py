"""Which executor runs a program. The choice is made once, in the open, and never changed silently."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from numpy.typing import NDArray

from int_kernels.backends.native.executable import NativeExecutable, library_path
from int_kernels.errors import KernelError
from int_kernels.program import Program

BACKENDS = ("native", "reference")


class Executable(Protocol):
    """A program made ready by one backend; run it as often as wanted."""

    program: Program

    def run(self, inputs: Sequence[NDArray[Any]], threads: int = 1) -> list[tuple[NDArray[Any], ...]]:
        """One tuple of outputs per utterance, in order.

        inputs: codes [C, T] of the input's type, each at its own length T; outputs: [C, T'] in their types' storage.
        threads: at least 1; it changes the time taken and never a byte. Raises KernelError and its children.
        """
        ...


def available_backends() -> tuple[str, ...]:
    """The backends that can run here; the reference always can."""
    return tuple(name for name in BACKENDS if name != "native" or library_path() is not None)


def resolve_backend(name: str) -> str:
    """`name` itself, or for "auto" the native backend where it is built, else the reference. Raises KernelError."""
    if name == "auto":
        return available_backends()[0]
    if name not in BACKENDS:
        raise KernelError(f"backend: expected 'auto', 'native' or 'reference', got {name!r}")
    return name


def compile_program(program: Program, backend: str = "native") -> Executable:
    """Make `program` ready to run. Raises KernelError when the backend is unknown or not built."""
    if resolve_backend(backend) == "reference":
        from int_kernels.backends.reference import ReferenceExecutable

        return ReferenceExecutable(program)
    return NativeExecutable(program)
