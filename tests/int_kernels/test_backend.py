from __future__ import annotations

import numpy as np
import pytest

from int_kernels import (
    INT8,
    INT32,
    Conv1d,
    KernelError,
    Program,
    ValueSpec,
    available_backends,
    available_kernels,
    compile_program,
    resolve_backend,
)
from int_kernels.backends.native import executable
from int_kernels.backends.native.executable import NativeExecutable

PROGRAM = Program(
    (ValueSpec("x", 1, INT8), ValueSpec("y", 1, INT32)),
    (Conv1d("x", "y", np.full((1, 1, 1), 3), np.array([1])),),
    "x",
    ("y",),
)


def test_auto_is_resolved_in_the_open() -> None:
    assert available_backends() == ("native", "reference")
    assert resolve_backend("auto") == "native" and resolve_backend("reference") == "reference"


@pytest.mark.parametrize("name", ["", "cuda", "Native", "float"])
def test_other_backends_are_refused(name: str) -> None:
    with pytest.raises(KernelError, match="expected 'auto', 'native' or 'reference'"):
        compile_program(PROGRAM, name)


def test_without_a_build_native_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(executable, "library_path", lambda: None)
    with pytest.raises(KernelError, match="not built; run `pip install"):
        NativeExecutable(PROGRAM)


def test_the_table_of_inner_loops_can_be_named(monkeypatch: pytest.MonkeyPatch) -> None:
    assert available_kernels()[-1] == "c"
    for name in available_kernels():
        monkeypatch.setenv("ZEROQ_KERNELS", name)
        assert NativeExecutable(PROGRAM).kernels == name
    monkeypatch.delenv("ZEROQ_KERNELS")
    assert NativeExecutable(PROGRAM).kernels == available_kernels()[0]
    monkeypatch.setenv("ZEROQ_KERNELS", "abacus")
    with pytest.raises(KernelError, match=r"ZEROQ_KERNELS: expected one of .*c, got 'abacus'"):
        NativeExecutable(PROGRAM)


@pytest.mark.parametrize("threads", [0, -1, 257, True, "2", None])
def test_other_numbers_of_threads_are_refused(backend: str, threads: object) -> None:
    with pytest.raises(KernelError, match="threads: expected an integer from 1 to 256"):
        compile_program(PROGRAM, backend).run([np.zeros((1, 4), int)], threads)  # type: ignore[arg-type]


def test_more_threads_than_work(backend: str) -> None:
    (y,) = compile_program(PROGRAM, backend).run([np.array([[1, 2]])], threads=64)[0]
    assert y.tolist() == [[4, 7]]
