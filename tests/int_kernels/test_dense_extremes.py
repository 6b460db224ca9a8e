"""Dense convolutions large enough for the fast ways of every table, against the reference."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from support.dense_extremes import DENSE_EXTREMES
from support.families import Case, every_call
from support.random_programs import assert_native


@pytest.mark.parametrize("make", every_call(DENSE_EXTREMES))
def test_native_equals_reference(kernels: str, make: Callable[[], Iterator[Case]]) -> None:
    for program, x in make():
        assert_native(program, x)
