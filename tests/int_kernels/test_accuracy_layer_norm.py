"""How far layer_norm is from real arithmetic: random, constant, one-hot and rail-to-rail rows."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray
from support.random_programs import assert_same
from support.stated import assert_stated

from int_kernels import INT8, INT16, UINT8, IntType, LayerNorm, Program, ValueSpec, compile_program
from int_kernels.ops.layer_norm import normalise

EPSILONS = (1, 1 << 12, 1 << 30, 1 << 50, 1 << 60)
TYPES = (INT16, INT8, UINT8)


def rows(d: int, x_type: IntType) -> Iterator[NDArray[np.int64]]:
    """Rows of d channels of every temper."""
    lo, hi = x_type.lo, x_type.hi
    random = np.random.default_rng(d)
    for _ in range(20):
        yield random.integers(lo, hi, d, endpoint=True)
        yield np.clip(np.rint(random.standard_normal(d) * hi / 8), lo, hi).astype(np.int64)
        yield np.clip(np.rint(random.standard_normal(d) * 2), lo, hi).astype(np.int64)
        yield random.choice([lo, hi], d)
    for constant in (lo, 0, 1, hi):
        yield np.full(d, constant)
        for outlier in (lo, 0, 1, hi):
            row = np.full(d, constant)
            row[d // 2] = outlier
            yield row
    yield np.where(np.arange(d) % 2, lo, hi)  # rail to rail: the largest variance


def normalise_really(q: NDArray[np.int64], epsilon: int) -> NDArray[np.longdouble]:
    """(q - mean) / sqrt(variance + eps) with 64 bits of mantissa."""
    d = np.longdouble(q.size)
    exact = q.size * int((q * q).sum()) - int(q.sum()) ** 2
    variance = (np.longdouble(exact) * 4096 + np.longdouble(epsilon)) / 4096 / d / d
    z: NDArray[np.longdouble] = (q - np.longdouble(int(q.sum())) / d) / np.sqrt(variance)
    return z


@pytest.fixture(scope="module")
def worst() -> float:
    """The largest error of z, in its unit of 1/16384."""
    largest = 0.0
    for x_type in TYPES:
        for d in (1, 2, 3, 16, 144, 176, 256, 512, 1000, 1024):
            for row in rows(d, x_type):
                for epsilon in EPSILONS:
                    error = normalise(row, epsilon) - 16384 * normalise_really(row, epsilon)
                    largest = max(largest, float(np.abs(error).max()))
    return largest


def test_z_is_rounded_and_nothing_else(worst: float) -> None:
    """Half a unit is the rounding; what the root and the division add is a thousandth."""
    assert_stated("layer_norm", "of z", worst)


def test_a_constant_row_is_zero_whatever_epsilon_is() -> None:
    for constant in (-32768, -1, 0, 5, 32767):
        for epsilon in EPSILONS:
            assert not normalise(np.full(1024, constant), epsilon).any()


def test_mean_and_variance_of_z() -> None:
    random = np.random.default_rng(0)
    z = normalise(random.integers(-3000, 3000, 512), 1) / 16384
    assert abs(z.mean()) < 1e-5 and abs(z.var() - 1) < 1e-4


@cache
def normalised_rows(d: int, x_type: IntType) -> list[tuple[LayerNorm, NDArray[np.int16]]]:
    """Steps of every epsilon and what they make of all rows, by integers of Python, once for all backends."""
    random, made = np.random.default_rng(d), []
    for epsilon in EPSILONS:
        scale = random.integers(-(1 << 31), 1 << 31, d)
        bias = random.integers(-(1 << 59), 1 << 59, d) >> random.integers(0, 50, d)
        shift = random.integers(30, 36, d)
        z = np.stack([normalise(row, epsilon) for row in rows(d, x_type)], axis=1).tolist()
        expected = [
            [min(max((n * int(m) + int(b) + (1 << int(r) >> 1)) >> int(r), -32768), 32767) for n in row]
            for row, m, b, r in zip(z, scale, bias, shift, strict=True)
        ]
        made.append((LayerNorm("x", "y", epsilon, scale, bias, shift), np.array(expected, np.int16)))
    return made


@pytest.mark.parametrize("x_type", [*TYPES, IntType(2), IntType(2, signed=False), IntType(5)], ids=str)
@pytest.mark.parametrize("d", [1, 2, 7, 64, 1024])
def test_every_backend_normalises_every_row_alike(backend: str, d: int, x_type: IntType) -> None:
    x = np.stack(list(rows(d, x_type)), axis=1)
    for step, expected in normalised_rows(d, x_type):
        made = Program((ValueSpec("x", d, x_type), ValueSpec("y", d, INT16)), (step,), "x", ("y",))
        (y,) = compile_program(made, backend).run([x])[0]
        assert_same([y], [expected])


def test_a_layer_norm_of_a_real_layer(backend: str) -> None:
    """gamma, beta and eps of a real layer, x an int16 stream, y 8-bit codes: within half a code and a bit."""
    random = np.random.default_rng(3)
    d, x_scale, y_scale, eps = 256, 1 / 2048, 4 / 127, 1e-5
    gamma, beta = random.uniform(0.5, 1.5, d), random.normal(0, 0.3, d)
    x = np.rint(random.standard_normal((d, 50)) * 1.5 / x_scale).astype(np.int64)
    shift = np.full(d, 38)
    multipliers = np.rint(gamma / y_scale / 16384 * 2.0**38).astype(np.int64)
    bias = np.rint(beta / y_scale * 2.0**38).astype(np.int64)
    step = LayerNorm("x", "y", round(eps * d * d / x_scale**2 * 4096), multipliers, bias, shift)
    made = Program((ValueSpec("x", d, INT16), ValueSpec("y", d, INT8)), (step,), "x", ("y",))
    (y,) = compile_program(made, backend).run([x])[0]
    real = x * x_scale
    real = (real - real.mean(axis=0)) / np.sqrt(real.var(axis=0) + eps) * gamma[:, None] + beta[:, None]
    assert np.abs(y - np.clip(real / y_scale, -128, 127)).max() < 0.51
