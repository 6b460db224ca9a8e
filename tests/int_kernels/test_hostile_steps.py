"""Every way in which steps and programs of feature maps, sums and gates can be wrong."""

from __future__ import annotations

import numpy as np
import pytest
from support.small_programs import (
    ONE,
    SIX,
    SIX_CODES,
    Hostile,
    activation,
    attended,
    attention,
    conv,
    conv2d,
    mean,
    norm,
    program,
)

from int_kernels import (
    INT8,
    INT16,
    INT32,
    Argmax,
    Conv1d,
    Conv2d,
    Dyadic,
    KernelError,
    Lookup,
    Mean,
    Multiply,
    RangeError,
    ShapeError,
    Sum,
)


def conv_of_bits(bits: int, weight: int) -> Conv1d:
    return Conv1d("x", "y", np.full((1, 1, 1), weight), np.zeros(1, int), weight_bits=bits)


HOSTILE: dict[str, Hostile] = {
    "conv2d axes": (
        lambda: Conv2d("x", "y", np.ones((2, 2, 1), int), np.zeros(2, int), 3),
        ShapeError,
        "expected 4 axes",
    ),
    "conv2d no taps": (lambda: conv2d((2, 2, 0, 1)), ShapeError, r"got \[2, 2, 0, 1\]"),
    "conv2d height": (lambda: conv2d(height=2), ShapeError, "height: expected at least 3 rows"),
    "conv2d height 0": (lambda: conv2d(height=0), RangeError, "height: expected an integer from 1"),
    "conv2d stride": (lambda: conv2d(stride=2), RangeError, r"stride: expected two integers \(rows, frames\), got 2"),
    "conv2d stride 0": (lambda: conv2d(stride=(1, 0)), RangeError, "stride: expected an integer from 1"),
    "conv2d padding": (lambda: conv2d(padding=(-1, 0)), RangeError, "padding: expected an integer from 0"),
    "conv2d groups": (lambda: conv2d(groups=3), ShapeError, "groups: expected a divisor of 2"),
    "conv2d bias": (
        lambda: Conv2d("x", "y", np.ones((2, 2, 1, 1), int), np.zeros(3, int), 3),
        ShapeError,
        r"expected \[2\]",
    ),
    "argmax origin": (
        lambda: program(Argmax("x", "y", None), y=(1, INT32)),  # type: ignore[arg-type]
        KernelError,
        "step 'y' origin: expected a text, got None",
    ),
    "conv1d layer": (
        lambda: Conv1d("x", "y", np.ones((1, 1, 1), int), np.zeros(1, int), layer=3),  # type: ignore[arg-type]
        KernelError,
        "conv1d 'y' layer: expected a text, got 3",
    ),
    "conv1d 1 bit": (lambda: conv_of_bits(1, 0), RangeError, "weight_bits: expected an integer from 2 to 8, got 1"),
    "conv1d 9 bits": (lambda: conv_of_bits(9, 0), RangeError, "weight_bits: expected an integer from 2 to 8, got 9"),
    "conv1d bits": (lambda: conv_of_bits(True, 0), RangeError, "weight_bits: expected an integer"),
    "conv1d wide weight": (
        lambda: conv_of_bits(4, 8),
        RangeError,
        "weight_bits: expected weights of 4 bits, -8 to 7, got 8 to 8",
    ),
    "conv1d low weight": (lambda: conv_of_bits(2, -3), RangeError, "of 2 bits, -2 to 1, got -3 to -3"),
    "conv2d weight of 3 bits": (
        lambda: Conv2d("x", "y", np.full((1, 1, 1, 1), 4), np.zeros(1, int), 1, weight_bits=3),
        RangeError,
        "conv2d 'y' weight_bits: expected weights of 3 bits, -4 to 3",
    ),
    "conv2d raw with clip": (lambda: conv2d(rescale=None, clip=(0, 1)), KernelError, "no clip on a raw accumulator"),
    "conv2d rescale of rows": (lambda: conv2d((2, 2, 1, 1), rescale=SIX), ShapeError, "expected 1 or 2 multipliers"),
    "conv2d rows in": (lambda: program(conv2d(height=4), y=(4, INT8)), ShapeError, "'x' with 8 channels; it has 6"),
    "conv2d rows out": (lambda: program(conv2d(padding=(1, 0)), y=(2, INT8)), ShapeError, "'y' with 6 channels"),
    "conv2d of int16": (
        lambda: program(conv2d(), x=(6, INT16), y=(2, INT8)),
        KernelError,
        "codes of at most 8 bits as x",
    ),
    "conv2d into int16": (lambda: program(conv2d(), y=(2, INT16)), KernelError, "codes or int32 as y"),
    "conv2d many rows": (
        lambda: program(conv2d((3, 2, 1, 1), padding=(1 << 14, 0)), y=(6, INT8)),
        ShapeError,
        "at most 65536 channels of maps times rows",
    ),
    "conv1d into int16": (
        lambda: program(conv("x", "y", rescale=ONE), y=(6, INT16)),
        KernelError,
        "codes or int32 as y",
    ),
    "conv over once": (
        lambda: program(mean(), conv("g", "y", kernel=3, padding=1, rescale=ONE), g=SIX_CODES, y=SIX_CODES),
        ShapeError,
        "a kernel of 1 with stride 1 and no padding over once",
    ),
    "conv over positions": (
        lambda: attended(conv("s", "y", stride=2, rescale=ONE)),
        ShapeError,
        "no padding over positions of",
    ),
    "sum bias": (
        lambda: Sum(("x",), "y", np.ones((1, 6), int), np.ones(6, int), None, np.zeros(5, int)),
        ShapeError,
        r"bias: expected \[6\]",
    ),
    "sum of frames and once": (
        lambda: program(mean(), Sum(("x", "g"), "y", np.ones((2, 6), int), np.ones(6, int)), g=SIX_CODES, y=SIX_CODES),
        ShapeError,
        "equally long for every T; 'x' has frames of .* 'g' has once",
    ),
    "multiply three": (lambda: Multiply(("x", "x", "x"), "y"), ShapeError, "expected two names"),  # type: ignore[arg-type]
    "multiply a text": (lambda: Multiply("xx", "y"), KernelError, "a tuple of names"),  # type: ignore[arg-type]
    "multiply int32": (
        lambda: program(Multiply(("x", "x"), "y"), x=(6, INT32), y=(6, INT32)),
        KernelError,
        "codes or int16 as x_1",
    ),
    "multiply into int16": (
        lambda: program(Multiply(("x", "x"), "y"), y=(6, INT16)),
        KernelError,
        "int32 for a product",
    ),
    "multiply channels": (lambda: program(Multiply(("x", "x"), "y"), y=(5, INT32)), ShapeError, "'x' with 5 channels"),
    "multiply once by frames": (
        lambda: program(mean(), Multiply(("g", "x"), "y"), g=SIX_CODES, y=(6, INT32)),
        ShapeError,
        "expected 'x' as long as 'g' for every T, or of length once",
    ),
    "mean shift": (
        lambda: Mean("x", "y", Dyadic(np.array([1 << 30]), np.array([41]))),
        RangeError,
        "shifts of 1 to 40",
    ),
    "mean of int16": (
        lambda: program(mean("y"), x=(6, INT16), y=SIX_CODES),
        KernelError,
        "codes of at most 8 bits as x",
    ),
    "mean into int32": (lambda: program(mean("y"), y=(6, INT32)), KernelError, "codes or int16 as y"),
    "mean rescale": (lambda: program(Mean("x", "y", SIX), x=(5, INT8), y=(5, INT8)), ShapeError, "1 or 5 multipliers"),
    "lookup size": (lambda: Lookup("x", "y", np.zeros(100, int)), ShapeError, "expected 2.b entries"),
    "lookup of fewer bits": (
        lambda: program(Lookup("x", "y", np.zeros(128, int)), y=SIX_CODES),
        ShapeError,
        "expected 256 entries, one per code of uint8, got 128",
    ),
    "lookup entry": (
        lambda: program(Lookup("x", "y", np.full(256, 128)), y=SIX_CODES),
        RangeError,
        "table: expected entries within int8, -128 to 127, got 128",
    ),
    "lookup wide entry": (lambda: Lookup("x", "y", np.full(256, 1 << 15)), RangeError, "-32768 to 32767"),
    "lookup of int16": (
        lambda: program(Lookup("x", "y", np.zeros(256, int)), x=(6, INT16), y=SIX_CODES),
        KernelError,
        "at most 8 bits as x",
    ),
    "lookup into int32": (
        lambda: program(Lookup("x", "y", np.zeros(256, int)), y=(6, INT32)),
        KernelError,
        "codes or int16 as y",
    ),
    "activation kind": (lambda: activation("relu"), KernelError, "kind: expected one of sigmoid, .*, got 'relu'"),
    "activation operands": (lambda: activation(xs=("x", "x")), ShapeError, "1 names and 1 Dyadic rescales for swish"),
    "glu operands": (lambda: activation("glu"), ShapeError, "2 names and 2 Dyadic rescales for glu, got 1 and 1"),
    "activation rescales": (lambda: activation(rescales=(0.5,)), ShapeError, "Dyadic rescales"),
    "activation multiplier": (lambda: activation(multiplier=5), RangeError, "Dyadic.multiplier"),
    "activation multiplier real": (lambda: activation(multiplier=0.5), RangeError, "got 0.5"),
    "activation shift": (lambda: activation(shift=63), RangeError, "shift: expected an integer from 1 to 62"),
    "activation offset": (
        lambda: activation(offset=65537),
        RangeError,
        "offset: expected an integer from -65536 to 65536",
    ),
    "activation clip": (lambda: program(activation(clip=(0, 128)), y=SIX_CODES), RangeError, "a part of int8"),
    "activation into int32": (lambda: program(activation(), y=(6, INT32)), KernelError, "codes or int16 as y"),
    "activation channels": (lambda: program(activation(), y=(5, INT8)), ShapeError, "'x' with 5 channels"),
    "activation per channel": (
        lambda: program(activation(rescales=(SIX,)), x=(5, INT8), y=(5, INT8)),
        ShapeError,
        "1 or 5 multipliers",
    ),
    "glu lengths": (
        lambda: program(mean(), activation("glu", ("x", "g"), (ONE, ONE)), g=SIX_CODES, y=SIX_CODES),
        ShapeError,
        "equally long for every T",
    ),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_steps_and_programs_are_refused(name: str) -> None:
    make, error, message = HOSTILE[name]
    with pytest.raises(error, match=message):
        make()


def test_sound_ones_are_taken() -> None:
    """What the hostile ones were made from."""
    made = [
        program(conv2d(), y=(2, INT8)),
        program(activation(), y=SIX_CODES),
        program(norm(), y=SIX_CODES),
        program(mean("y"), y=SIX_CODES),
        attended(attention()),
    ]
    assert [p.lengths["y"].kind for p in made] == ["frames", "frames", "frames", "once", "frames"]
    assert made[-1].longest_input == 4 * 64 and made[-1].lengths["s"].kind == "positions"


@pytest.mark.parametrize("bits", range(2, 9))
def test_every_weight_of_so_many_bits_is_taken(bits: int) -> None:
    for weight in (-1 << (bits - 1), (1 << (bits - 1)) - 1):
        step = conv_of_bits(bits, weight)
        assert step.weight.item() == weight and step.weight_bits == bits
