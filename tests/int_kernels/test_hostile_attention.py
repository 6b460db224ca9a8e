"""Every way in which steps and programs of layer norms, positions and attention can be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from support.small_programs import (
    ONE,
    SIX_CODES,
    Hostile,
    attended,
    attention,
    conv,
    mean,
    norm,
    positions,
    program,
    table,
)

from int_kernels import INT8, INT16, INT32, UINT8, Dyadic, KernelError, RangeError, ShapeError

HOSTILE: dict[str, Hostile] = {
    "norm epsilon 0": (lambda: norm(epsilon=0), RangeError, "epsilon: expected an integer from 1"),
    "norm epsilon": (lambda: norm(epsilon=(1 << 60) + 1), RangeError, "epsilon: expected an integer from 1"),
    "norm lengths": (lambda: norm(multipliers=np.ones(5, int)), ShapeError, r"same length \[C\]"),
    "norm bias": (lambda: norm(bias=np.zeros(5, int)), ShapeError, r"bias: expected \[6\]"),
    "norm shift": (lambda: norm(shift=np.zeros(6, int)), RangeError, "shifts of 1 to 62"),
    "norm channels": (lambda: program(norm(), x=(5, INT8), y=(5, INT8)), ShapeError, "'x' with 6 channels; it has 5"),
    "norm of int32": (lambda: program(norm(), x=(6, INT32), y=SIX_CODES), KernelError, "codes or int16 as x"),
    "norm into int32": (lambda: program(norm(), y=(6, INT32)), KernelError, "codes or int16 as y"),
    "norm overflow": (
        lambda: program(norm(bias=np.array([0, 0, 0, (1 << 63) - 1, 0, 0])), y=SIX_CODES),
        RangeError,
        "layer_norm 'y' channel 3: expected a sum within 64 bits",
    ),
    "norm too wide": (
        lambda: program(
            norm(multipliers=np.ones(1025, int), bias=np.zeros(1025, int), shift=np.ones(1025, int)),
            x=(1025, INT16),
            y=(1025, INT8),
        ),
        ShapeError,
        "at most 1024 channels of int16",
    ),
    "positions fine": (lambda: positions(fine=table(count=63)), ShapeError, "expected fine"),
    "positions coarse": (lambda: positions(coarse=table(pairs=2)), ShapeError, "expected fine"),
    "positions empty": (lambda: positions(coarse=table(count=0)), ShapeError, "expected fine"),
    "positions entries": (lambda: positions(fine=table(value=16385)), RangeError, "-16384 to 16384, got 16385"),
    "positions channels": (lambda: program(positions(y="y"), y=(4, INT8)), ShapeError, "'y' with 6 channels"),
    "positions type": (lambda: program(positions(y="y"), y=(6, UINT8)), KernelError, "int8 for sinusoids"),
    "positions of once": (
        lambda: program(mean(), positions("g", "y"), g=SIX_CODES, y=SIX_CODES),
        ShapeError,
        "'g' with a length of frames; it has once",
    ),
    "positions never long enough": (
        lambda: program(conv("x", "a", padding=300, rescale=ONE), positions("a", "y"), a=SIX_CODES, y=SIX_CODES),
        ShapeError,
        "some need at least 1 frames, others at most -344",
    ),
    "attention heads": (
        lambda: attended(attention(heads=4)),
        ShapeError,
        "heads: expected a divisor of 6 channels, got 4",
    ),
    "attention heads 0": (lambda: attention(heads=0), RangeError, "heads: expected an integer from 1"),
    "attention content": (lambda: attention(content=np.ones(3, int)), ShapeError, r"content: expected \[2\]"),
    "attention negative": (
        lambda: attention(position=np.array([1, -1])),
        RangeError,
        "position: expected numbers of at least 0",
    ),
    "attention shift": (lambda: attention(shift=0), RangeError, "shift: expected an integer from 1 to 62"),
    "attention rescale": (
        lambda: attended(attention(rescale=Dyadic(np.full(5, 1 << 30), np.full(5, 9)))),
        ShapeError,
        "1 or 6 multipliers",
    ),
    "attention of int16": (
        lambda: attended(attention(), x=(6, INT16)),
        KernelError,
        "codes of at most 8 bits as qu",
    ),
    "attention into int32": (lambda: attended(attention(), y=(6, INT32)), KernelError, "codes or int16 as y"),
    "attention without positions": (lambda: attended(attention("x")), ShapeError, "expected 'x' of positions of"),
    "attention at other positions": (
        lambda: program(
            conv("x", "a", kernel=3, rescale=ONE), positions("a"), attention(), a=SIX_CODES, s=SIX_CODES, y=SIX_CODES
        ),
        ShapeError,
        "expected 's' of positions of",
    ),
    "attention clip": (lambda: attended(attention(clip=(0, 200))), RangeError, "a part of int8"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_steps_and_programs_are_refused(name: str) -> None:
    make, error, message = HOSTILE[name]
    with pytest.raises(error, match=message):
        make()
