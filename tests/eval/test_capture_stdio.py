"""Standard streams: kept back from C as from Python, and put back whatever happens."""

from __future__ import annotations

import ctypes
import os

import pytest

from eval.capture_stdio import capture_stdio


@pytest.mark.parametrize("descriptor", [1, 2])
def test_lines_are_kept_back_in_order(descriptor: int, capfd: pytest.CaptureFixture[str]) -> None:
    print("before")
    with capture_stdio(descriptor) as lines:
        os.write(descriptor, b"one\ntwo \xff\n")
        os.write(3 - descriptor, b"other\n")
    os.write(descriptor, b"after\n")
    assert lines == ["one", "two \ufffd"]
    kept, other = capfd.readouterr()[:: 1 if descriptor == 1 else -1]
    assert kept.endswith("after\n") and "one" not in kept and "other\n" in other


def test_what_c_holds_in_its_buffer_stays_on_its_side(capfd: pytest.CaptureFixture[str]) -> None:
    libc = ctypes.CDLL(None)
    libc.printf(b"before\n")
    with capture_stdio(1) as lines:
        libc.printf(b"inside\n")
    libc.printf(b"after\n")
    libc.fflush(None)
    assert lines == ["inside"] and capfd.readouterr().out == "before\nafter\n"


def test_an_error_inside_puts_the_stream_back_and_leaks_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    free = os.dup(0)
    os.close(free)
    with pytest.raises(ValueError, match="inside"), capture_stdio(2) as lines:
        os.write(2, b"lost\n")
        raise ValueError("inside")
    os.write(2, b"after\n")
    assert lines == ["lost"] and capfd.readouterr().err == "after\n"
    assert os.dup(0) == free
    os.close(free)
