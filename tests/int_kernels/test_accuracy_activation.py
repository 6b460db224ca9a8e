"""How far the activations are from real arithmetic: every u there is, 64 in 1/1024 both ways."""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.special import erf, expit
from support.oracle_attention import activate_exactly
from support.random_programs import assert_same
from support.stated import assert_stated

from int_kernels import (
    ACTIVATIONS,
    INT8,
    INT16,
    INT32,
    UINT8,
    Activation,
    Dyadic,
    IntType,
    Program,
    ValueSpec,
    compile_program,
)
from int_kernels.ops.activation import activate
from int_kernels.ops.exponential import LEAST_OCTAVES, OCTAVE, exp2_negative, sigma

ONE = Dyadic(np.array([1 << 30]), np.array([30]))
U = np.arange(-65536, 65537)
REAL = U / 1024


def program(kind: str, y_type: IntType, ratio: tuple[int, int], offset: int = 0) -> Program:
    """u in, y out."""
    names = ("x", "g")[: ACTIVATIONS[kind]]
    step = Activation(kind, ("x",) * len(names), "y", (ONE,) * len(names), *ratio, offset)
    return Program((ValueSpec("x", 1, INT32), ValueSpec("y", 1, y_type)), (step,), "x", ("y",))


def test_sigmoid() -> None:
    y = sigma(U) / 32768
    assert_stated("activation", "sigmoid", float(np.abs(y - expit(REAL)).max()))
    assert (np.diff(y) >= 0).all() and (y + y[::-1] == 1).all()


def test_tanh() -> None:
    """Its u is twice the argument."""
    y = activate("tanh", [U]) / 32768
    assert_stated("activation", "tanh", float(np.abs(y - np.tanh(REAL / 2)).max()))


def test_swish() -> None:
    y = activate("swish", [U]) / (1 << 25)
    assert_stated("activation", "swish", float(np.abs(y - REAL * expit(REAL)).max()))


def test_gelu() -> None:
    y = activate("gelu", [U]) / (1 << 25)
    assert_stated("activation", "gelu", float(np.abs(y - REAL * (1 + erf(REAL / np.sqrt(2))) / 2).max()))


def test_glu() -> None:
    """Relative to the factor, whatever it is."""
    factors = np.array([1, -1, 7, -1024, 65536, -65536])
    y = activate("glu", [factors[:, None] + 0 * U, 0 * factors[:, None] + U])
    worst = np.abs(y / 32768 / factors[:, None] - expit(REAL)).max()
    assert_stated("activation", "glu", float(worst))


def test_two_to_minus_t() -> None:
    """Every t, through all of the 31 halvings."""
    t = np.arange(LEAST_OCTAVES * OCTAVE + 1)
    p, q = exp2_negative(t)
    power = p / 2.0 ** (17 + q)
    assert_stated("activation", "2^-t relative", float(np.abs(power * 2.0 ** (t / OCTAVE) - 1).max()))
    assert (np.diff(power) <= 0).all() and power[0] == 1 and (power[OCTAVE::OCTAVE] * 2 == power[:-1:OCTAVE]).all()


@cache
def codes_of_every_u(kind: str, ratio: tuple[int, int], offset: int) -> NDArray[np.int16]:
    """By integers of Python, once for all backends."""
    v = activate(kind, [U] * ACTIVATIONS[kind]).tolist()
    half = 1 << (ratio[1] - 1)
    return np.array([min(max(((n * ratio[0] + half) >> ratio[1]) + offset, -32768), 32767) for n in v], np.int16)


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("ratio", [(1 << 30, 30), (1 << 30, 40), (1 << 30, 46), ((1 << 31) - 1, 62), (0, 1)])
@pytest.mark.parametrize("offset", [0, 100, -65536])
def test_every_u_equals_the_reference(backend: str, kind: str, ratio: tuple[int, int], offset: int) -> None:
    made = program(kind, INT16, ratio, offset)
    (y,) = compile_program(made, backend).run([U[None, :]])[0]
    assert_same([y], [codes_of_every_u(kind, ratio, offset)[None, :]])


@pytest.mark.parametrize("kind", ACTIVATIONS)
def test_the_reference_equals_exact_fractions(kind: str) -> None:
    made = program(kind, INT32 if kind == "" else INT16, (1 << 30, 36), 5)
    some = np.unique(np.concatenate([U[::97], np.arange(-300, 301), U[:50], U[-50:]]))
    (y,) = compile_program(made, "reference").run([some[None, :]])[0]
    step = made.steps[0]
    assert isinstance(step, Activation)
    expected = [activate_exactly(step, [int(u)] * ACTIVATIONS[kind], 0, (-32768, 32767)) for u in some]
    assert y[0].tolist() == expected


@pytest.mark.parametrize("kind", ACTIVATIONS)
@pytest.mark.parametrize("x_type", [INT8, UINT8, INT16, INT32], ids=str)
def test_u_saturates_at_64(backend: str, kind: str, x_type: IntType) -> None:
    """A rescale of 2^29 takes all but 0 to the ends; a dead one takes all to 0."""
    x = np.array([[x_type.lo, -1, 0, 1, x_type.hi]] if x_type.lo else [[0, 1, x_type.hi]])
    for multiplier, u in (((1 << 30), 65536), (0, 0)):
        count = ACTIVATIONS[kind]
        rescale = Dyadic(np.array([multiplier]), np.array([1]))
        step = Activation(kind, ("x",) * count, "y", (rescale,) * count, 1 << 30, 46)
        made = Program((ValueSpec("x", 1, x_type), ValueSpec("y", 1, INT16)), (step,), "x", ("y",))
        (y,) = compile_program(made, backend).run([x])[0]
        v = activate(kind, [np.sign(x[0]) * u] * count)
        assert y[0].tolist() == [min(max((n + (1 << 15)) >> 16, -32768), 32767) for n in v.tolist()]


def test_an_unsigned_code_with_an_offset_keeps_all_of_a_swish(backend: str) -> None:
    """The offset lets the codes start below zero: swish >= -0.2785."""
    scale, offset = 6 / 255, 12
    ratio = round(2**62 / (scale * 2**25)) >> 31
    shift = 31
    while ratio < 1 << 30:
        ratio, shift = ratio * 2, shift + 1
    x = np.arange(-6 * 1024, 5 * 1024)
    (y,) = compile_program(program("swish", UINT8, (ratio, shift), offset), backend).run([x[None, :]])[0]
    real: NDArray[Any] = x / 1024 * expit(x / 1024)
    assert y.min() == 0 and np.abs((y[0].astype(float) - offset) * scale - real).max() < 0.52 * scale + 1e-3
