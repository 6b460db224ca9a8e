"""What a program must be, and every way it can be wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from int_kernels import (
    INT8,
    INT32,
    UINT8,
    Argmax,
    Conv1d,
    Dyadic,
    IntType,
    KernelError,
    Length,
    Program,
    RangeError,
    ShapeError,
    Step,
    Sum,
    ValueSpec,
    compile_program,
)

HALF = Dyadic(np.array([1 << 30]), np.array([31]))


def conv(x: str, y: str, shape: tuple[int, int, int] = (2, 2, 1), **rest: Any) -> Conv1d:
    return Conv1d(x, y, np.ones(shape, int), np.zeros(shape[0], int), **{"rescale": HALF, **rest})


def program(*steps: Step, outputs: tuple[str, ...] = ("y",), **types: IntType | tuple[int, IntType]) -> Program:
    """Values of two channels unless said otherwise: x uint8, y int8."""
    values = {"x": UINT8, "y": INT8} | types
    pairs = {name: spec if isinstance(spec, tuple) else (2, spec) for name, spec in values.items()}
    return Program(tuple(ValueSpec(name, *pair) for name, pair in pairs.items()), steps, "x", outputs)


HOSTILE: dict[str, tuple[Callable[[], Any], type[KernelError], str]] = {
    "unknown x": (lambda: program(conv("z", "y")), KernelError, "step 'y': expected a declared value, got 'z'"),
    "unknown y": (lambda: program(conv("x", "z")), KernelError, "expected a declared value, got 'z'"),
    "unknown input": (lambda: Program((ValueSpec("y", 1, INT8),), (), "x", ("y",)), KernelError, "program input"),
    "unknown output": (lambda: program(conv("x", "y"), outputs=("z",)), KernelError, "program outputs"),
    "no output": (lambda: program(conv("x", "y"), outputs=()), KernelError, "at least one name"),
    "output twice": (lambda: program(conv("x", "y"), outputs=("y", "y")), KernelError, "each once"),
    "input as output": (lambda: program(conv("x", "y"), outputs=("x",)), KernelError, "a value that a step makes"),
    "nothing to do": (lambda: program(), KernelError, "nothing makes 'y'"),
    "value never made": (lambda: program(conv("x", "y"), z=INT8), KernelError, "nothing makes 'z'"),
    "made twice": (lambda: program(conv("x", "y"), conv("x", "y")), KernelError, "made already"),
    "input made": (lambda: program(conv("x", "x")), KernelError, "made already"),
    "cycle": (lambda: program(conv("z", "y"), conv("y", "z"), z=INT8), KernelError, "expected 'z' before this step"),
    "self": (lambda: program(conv("y", "y")), KernelError, "expected 'y' before this step"),
    "name twice": (
        lambda: Program((ValueSpec("x", 1, INT8), ValueSpec("x", 1, INT8)), (), "x", ("x",)),
        KernelError,
        "got 'x' twice",
    ),
    "no such step": (lambda: program("conv"), KernelError, "expected a step such as Conv1d or Sum, got str"),  # type: ignore[arg-type]
    "int32 into a convolution": (lambda: program(conv("x", "y"), x=INT32), KernelError, "codes of at most 8 bits as x"),
    "channels in": (lambda: program(conv("x", "y", (2, 3, 1))), ShapeError, "'x' with 3 channels; it has 2"),
    "channels out": (lambda: program(conv("x", "y", (3, 2, 1))), ShapeError, "'y' with 3 channels; it has 2"),
    "groups": (lambda: conv("x", "y", groups=3), ShapeError, "a divisor of 2 output channels"),
    "groups 0": (lambda: conv("x", "y", groups=0), ShapeError, "a divisor"),
    "stride 0": (lambda: conv("x", "y", stride=0), RangeError, "stride: expected an integer from 1"),
    "dilation 0": (lambda: conv("x", "y", dilation=0), RangeError, "dilation: expected an integer from 1"),
    "dilation huge": (lambda: conv("x", "y", dilation=1 << 40), RangeError, "to 32768, got 1099511627776"),
    "padding": (lambda: conv("x", "y", padding=-1), RangeError, "padding: expected an integer from 0"),
    "stride text": (lambda: conv("x", "y", stride="2"), RangeError, "got '2'"),
    "stride bool": (lambda: conv("x", "y", stride=True), RangeError, "got True"),
    "no taps": (lambda: conv("x", "y", (2, 2, 0)), ShapeError, r"got \[2, 2, 0\]"),
    "weight axes": (lambda: Conv1d("x", "y", np.ones((2, 2), int), np.zeros(2, int)), ShapeError, "expected 3 axes"),
    "weight real": (
        lambda: Conv1d("x", "y", np.ones((2, 2, 1)), np.zeros(2, int)),  # type: ignore[arg-type]
        KernelError,
        "expected integers",
    ),
    "weight wide": (
        lambda: Conv1d("x", "y", np.full((2, 2, 1), 128), np.zeros(2, int)),
        RangeError,
        "expected numbers from -128 to 127",
    ),
    "bias length": (lambda: Conv1d("x", "y", np.ones((2, 2, 1), int), np.zeros(3, int)), ShapeError, r"expected \[2\]"),
    "bias wide": (lambda: Conv1d("x", "y", np.ones((1, 1, 1), int), np.array([1 << 31])), RangeError, "bias"),
    "rescale length": (
        lambda: conv("x", "y", rescale=Dyadic(np.full(3, 1 << 30), np.full(3, 1))),
        ShapeError,
        "expected 1 or 2 multipliers",
    ),
    "raw with clip": (lambda: conv("x", "y", rescale=None, clip=(0, 1)), KernelError, "no clip on a raw accumulator"),
    "raw into int8": (
        lambda: program(conv("x", "y", rescale=None)),
        KernelError,
        "expected int32 for a raw accumulator",
    ),
    "clip outside": (lambda: program(conv("x", "y", clip=(0, 255))), RangeError, "expected a part of int8"),
    "clip reversed": (lambda: conv("x", "y", clip=(5, 4)), RangeError, "with lo <= hi"),
    "clip real": (lambda: conv("x", "y", clip=(0.0, 4.0)), RangeError, "two integers"),
    "too long a reach": (
        lambda: program(conv("x", "y", (2, 2, 1 << 10), dilation=1 << 15)),
        ShapeError,
        "value 'y': expected at least one frame",
    ),
    "sum of nothing": (lambda: Sum((), "y", np.ones((0, 2), int), np.ones(2, int)), ShapeError, "at least one"),
    "sum of a text": (lambda: Sum("x", "y", np.ones((1, 2), int), np.ones(2, int)), KernelError, "a tuple of names"),  # type: ignore[arg-type]
    "sum factors": (lambda: Sum(("x",), "y", np.ones((2, 2), int), np.ones(2, int)), ShapeError, "multipliers"),
    "sum negative": (lambda: Sum(("x",), "y", np.full((1, 2), -1), np.ones(2, int)), RangeError, "at least 0"),
    "sum shift": (lambda: Sum(("x",), "y", np.ones((1, 2), int), np.full(2, 63)), RangeError, "shifts of 1 to 62"),
    "sum channels": (
        lambda: program(Sum(("x",), "y", np.ones((1, 3), int), np.ones(3, int)), y=(3, INT8)),
        ShapeError,
        "'x' with 3 channels",
    ),
    "sum lengths": (
        lambda: program(
            conv("x", "a", stride=2),
            conv("x", "b", (2, 2, 3), stride=2),
            Sum(("a", "b"), "y", np.ones((2, 2), int), np.ones(2, int)),
            a=INT8,
            b=INT8,
        ),
        ShapeError,
        "equally long for every T",
    ),
    "sum overflow": (
        lambda: program(Sum(("x",) * 3, "y", np.full((3, 2), (1 << 31) - 1), np.full(2, 1)), x=INT32),
        RangeError,
        "sum 'y' channel 0: expected a sum within 64 bits",
    ),
    "sum overflow by rounding": (
        lambda: program(Sum(("x",) * 2, "y", np.full((2, 2), (1 << 31) - 2), np.full(2, 62)), x=INT32),
        RangeError,
        "within 64 bits",
    ),
    "argmax channels": (lambda: program(Argmax("x", "y"), y=INT32), ShapeError, "'y' with 1 channels"),
    "argmax type": (lambda: program(Argmax("x", "y"), y=(1, INT8)), KernelError, "expected int32 for channel indices"),
    "no channels": (lambda: ValueSpec("x", 0, INT8), ShapeError, "expected 1 to 65536"),
    "many channels": (lambda: ValueSpec("x", 65537, INT8), ShapeError, "got 65537"),
    "no type": (lambda: ValueSpec("x", 1, "int8"), KernelError, "expected an IntType"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_programs_are_refused(name: str) -> None:
    make, error, message = HOSTILE[name]
    with pytest.raises(error, match=message):
        make()


def test_every_refusal_is_a_value_error() -> None:
    assert (
        issubclass(KernelError, ValueError)
        and issubclass(ShapeError, KernelError)
        and issubclass(RangeError, KernelError)
    )


def test_steps_own_their_arrays() -> None:
    weight = np.ones((2, 2, 1), np.int8)
    step = Conv1d("x", "y", weight, np.zeros(2, np.int32), rescale=HALF)
    weight[:] = 9
    assert (step.weight == 1).all() and not step.weight.flags.writeable and not step.bias.flags.writeable


@pytest.mark.parametrize("length", range(1, 40))
def test_lengths_compose(length: int) -> None:
    """floor((T + offset) / stride) equals the convolutions' own formula, applied one after the other."""
    frames, composed = length, Length()
    for kernel, stride, dilation, padding in [(3, 2, 1, 1), (5, 3, 2, 4), (2, 2, 1, 0), (1, 1, 1, 3)]:
        frames = (frames + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1
        composed = composed.after_conv(kernel, stride, dilation, padding)
        assert composed.of(length) == frames
        assert (frames >= 1) == (length >= composed.shortest_input)
        assert composed.of(composed.longest_input(7)) == 7 and composed.of(composed.longest_input(7) + 1) == 8


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.zeros((2, 5)), KernelError, "expected integer codes of uint8, got dtype float64"),
        (np.zeros((3, 5), int), ShapeError, r"expected \[2, T\], got \[3, 5\]"),
        (np.zeros(5, int), ShapeError, r"got \[5\]"),
        (np.zeros((1, 2, 5), int), ShapeError, r"got \[1, 2, 5\]"),
        (np.zeros((2, 0), int), ShapeError, "expected 4 to"),
        (np.zeros((2, 3), int), ShapeError, "expected 4 to 1048576 frames, got 3"),
        (np.zeros((2, (1 << 20) + 1), np.uint8), ShapeError, "got 1048577"),
        (np.full((2, 5), 256), RangeError, "expected codes of uint8, 0 to 255, got 256"),
        (np.full((2, 5), -1), RangeError, "got -1"),
    ],
)
def test_inputs_are_checked_at_the_door(backend: str, x: np.ndarray, error: type[KernelError], message: str) -> None:
    executable = compile_program(program(conv("x", "y", (2, 2, 4))), backend)
    with pytest.raises(error, match=f"utterance 1: .*{message}"):
        executable.run([np.zeros((2, 9), int), x])


def test_inputs_of_any_integer_dtype_and_layout_are_taken(backend: str) -> None:
    executable = compile_program(program(conv("x", "y", (2, 2, 4))), backend)
    x = np.arange(40).reshape(2, 20) % 7
    expected = executable.run([x])[0][0]
    for same in (x.astype(np.uint8), x.astype(np.int8), np.asfortranarray(x), np.repeat(x, 2, axis=1)[:, ::2]):
        assert np.array_equal(executable.run([same])[0][0], expected)


def test_no_utterance_gives_no_result(backend: str) -> None:
    assert compile_program(program(conv("x", "y")), backend).run([]) == []


def test_ranges_are_the_accumulators_bounds_or_the_clip() -> None:
    made = program(conv("x", "a", rescale=None), conv("x", "y", clip=(0, 9)), a=INT32)
    assert [bound.tolist() for bound in made.ranges["a"]] == [[0, 0], [510, 510]]
    assert [bound.tolist() for bound in made.ranges["y"]] == [[0, 0], [9, 9]]


def test_values_that_would_hold_too_many_numbers_limit_the_input() -> None:
    made = program(conv("x", "a", (4096, 2, 1)), conv("a", "y", (2, 4096, 1)), a=(4096, INT8))
    assert made.longest_input == ((1 << 31) - 1) // 4096
