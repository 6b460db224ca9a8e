"""A library built from other sources is refused, not called."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

import pytest
from support.builds import NATIVE, run

from int_kernels.backends.native import executable
from int_kernels.backends.native.executable import INTERFACE, load_library
from int_kernels.errors import KernelError

NUMBER = INTERFACE >> 24
"""ZQ_INTERFACE."""


def declarations() -> str:
    """zq.h and scheduler.h without comments and spaces, as a digest. That of op_table.h is in INTERFACE."""
    text = "".join((NATIVE / name).read_text() for name in ("core/zq.h", "host/scheduler.h"))
    bare = re.sub(r"\s+", "", re.sub(r"/\*.*?\*/", "", text, flags=re.DOTALL))
    return hashlib.sha256(bare.replace(f"ZQ_INTERFACE{NUMBER}", "").encode()).hexdigest()[:16]


def test_the_number_changes_with_the_headers() -> None:
    """When this fails: raise ZQ_INTERFACE and INTERFACE, and write the new digest here."""
    assert (NUMBER, declarations()) == (5, "56b320db30c2bb44")
    assert f"#define ZQ_INTERFACE {NUMBER}\n" in (NATIVE / "core/zq.h").read_text()


@pytest.mark.parametrize("source", ["int zq_interface(void) { return 99; }", "int nothing_of_ours;"])
def test_other_interfaces_are_refused(tmp_path: Path, source: str) -> None:
    (tmp_path / "old.c").write_text(source)
    run("gcc", "-shared", "-fPIC", str(tmp_path / "old.c"), "-o", str(tmp_path / "old.so"))
    with pytest.raises(KernelError, match=f"old.so: expected compiled kernels with interface {INTERFACE}.*build them"):
        load_library(tmp_path / "old.so")


def test_the_library_in_use_has_the_interface() -> None:
    path = executable.library_path()
    assert path is not None and load_library(path).zq_interface() == INTERFACE
