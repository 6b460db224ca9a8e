"""How far attention and positions are from real arithmetic, and what 8-bit probabilities would lose instead."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cache
from math import ceil, log2, sqrt
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from support.random_blocks import sinusoid_tables
from support.random_programs import assert_same
from support.stated import assert_stated

from int_kernels import (
    INT8,
    INT16,
    INT32,
    Attention,
    Conv1d,
    Dyadic,
    IntType,
    Positions,
    Program,
    ValueSpec,
    compile_program,
)
from int_kernels.ops.attention import weights
from int_kernels.ops.exponential import LEAST_OCTAVES, OCTAVE, exp2_negative

Real = NDArray[np.float64]
ONE = Dyadic(np.array([1 << 30]), np.array([30]))
SCALE = 1 / 32  # of the codes of queries, keys and positions


def step(heads: int, depth: int, rescale: Dyadic, scale: float = SCALE) -> Attention:
    """Scores of real attention: products at scale^2 / sqrt(depth), in 1/65536 octaves."""
    octaves = scale**2 / sqrt(depth) * log2(np.e) * 65536
    shift = 30 - ceil(log2(octaves))
    factor = np.full(heads, round(octaves * 2**shift))
    return Attention("qu", "qv", "k", "v", "p", "y", heads, factor, factor, shift, rescale)


def operands(heads: int, depth: int, frames: int, sharpness: float = 1, seed: int = 0) -> list[NDArray[np.int64]]:
    """qu, qv, k, v, p: codes that look like numbers of deviation 1, the queries of deviation `sharpness`."""
    random = np.random.default_rng(seed)
    shapes = [(heads * depth, n) for n in [frames] * 4 + [2 * frames - 1]]
    factors = (sharpness, sharpness, 1, 1, 1)
    codes = [np.rint(random.standard_normal(shape) * f / SCALE) for shape, f in zip(shapes, factors, strict=True)]
    return [np.clip(x, -128, 127).astype(np.int64) for x in codes]


def scores(qu: Real, qv: Real, k: Real, p: Real) -> Real:
    """As NeMo computes them: the position scores are padded, viewed in another shape, and a row is dropped."""
    depth, frames = k.shape
    scaled: Real = (qu.T @ k + rel_shift(qv.T @ p)[:, :frames]) / sqrt(depth)
    return scaled


def rel_shift(x: NDArray[Any]) -> NDArray[Any]:
    """RelPositionMultiHeadAttention.rel_shift for one head: [T, 2T - 1] -> [T, 2T - 1]."""
    frames, places = x.shape
    padded = np.pad(x, ((0, 0), (1, 0)))
    return padded.reshape(places + 1, frames)[1:].reshape(frames, places)


def probabilities(score: Real) -> Real:
    powers = np.exp(score - score.max(axis=1, keepdims=True))
    total: Real = powers / powers.sum(axis=1, keepdims=True)
    return total


def heads_of(xs: list[NDArray[np.int64]], heads: int) -> list[list[Real]]:
    """Per head the operands in real units; v in codes."""
    split = [x.reshape(heads, -1, x.shape[1]).astype(np.float64) for x in xs]
    return [[x[h] * (1 if i == 3 else SCALE) for i, x in enumerate(split)] for h in range(heads)]


def relative(y: Real, real: Real) -> float:
    """Size of the error over the size of the result."""
    return float(np.linalg.norm(y - real) / np.linalg.norm(real))


def reference(step: Attention, xs: Sequence[np.ndarray], y_type: IntType) -> np.ndarray:
    """The reference of one step on codes of at most 16 bits."""
    return step.evaluate(xs, [INT16] * len(xs), y_type)


def positions_of(step: Positions, frames: int) -> np.ndarray:
    """The reference for `frames` frames."""
    return step.evaluate([np.zeros((1, frames), np.int32)], [INT32], INT8)


@cache
def results(frames: int, sharpness: float) -> tuple[Real, Real, Real]:
    """(ours in codes of v, real, with probabilities floored to 8 bits as in I-BERT) for 2 heads of 32 channels.

    The scores, a content and a position part, have a deviation of sharpness * sqrt(2) nats.
    """
    heads, depth = 2, 32
    xs = operands(heads, depth, frames, sharpness)
    made = step(heads, depth, Dyadic(np.array([1 << 30]), np.array([37])))  # 1/32768 -> 1/256 of a code
    ours = reference(made, xs, INT16) / 256
    split = heads_of(xs, heads)
    p = [probabilities(scores(qu, qv, k, p)) for qu, qv, k, _, p in split]
    real = np.concatenate([v @ a.T for (_, _, _, v, _), a in zip(split, p, strict=True)])
    coarse = np.concatenate([v @ np.floor(a * 256).T / 256 for (_, _, _, v, _), a in zip(split, p, strict=True)])
    return ours, real, coarse


def test_weights() -> None:
    """Every t there is: e against 2^-t."""
    t = np.arange(LEAST_OCTAVES * OCTAVE + 1)
    p, q = exp2_negative(t)
    e = (p + (1 << (q + 2))) >> (q + 3)
    assert_stated("attention", "of e", float(np.abs(e / 16384 - 2.0 ** (-t / OCTAVE)).max()))


SHARPNESS = (0.25, 0.5, 1.0, 3.0)


def test_mixed_values() -> None:
    """Of the largest |v|, at 500 keys."""
    errors = [np.abs(ours - real).max() / 128 for ours, real, _ in (results(500, sharp) for sharp in SHARPNESS)]
    assert_stated("attention", "of y at 500 keys", float(max(errors)))


@pytest.mark.parametrize(
    ("frames", "sharpness"), [*[(n, sharp) for n in (1, 2, 50, 500) for sharp in SHARPNESS], (1500, 0.25), (1500, 3.0)]
)
def test_deferred_normalisation_keeps_what_8_bit_probabilities_lose(frames: int, sharpness: float) -> None:
    """Ours stays within 0.3 % at any length; with 8-bit probabilities a broad attention to 500 keys is mostly gone."""
    ours, real, coarse = results(frames, sharpness)
    assert relative(ours, real) < 0.003
    if frames >= 500 and sharpness <= 0.5:
        assert relative(coarse, real) > 0.5


@pytest.mark.parametrize("frames", [2, 100, 2000])
def test_the_worst_attention_there_is(frames: int) -> None:
    """One key beyond all others by a little more than 15 octaves: their weights round to 0, their mass is lost."""
    factor = np.array([15 * 65536 + 300])
    made = Attention("qu", "qv", "k", "v", "p", "y", 1, factor, factor, 1, ONE)
    alone = (np.arange(frames) == 0).astype(np.int64)[None, :]
    e = weights(made, 0, 2 + 0 * alone, 0 * alone, alone, np.zeros((1, 2 * frames - 1), np.int64))
    assert e[0].tolist() == [16384] + [0] * (frames - 1)
    lost = (frames - 1) * 2.0 ** -(15 + 300 / 65536)
    assert 0.4 * frames / 32768 < lost / (1 + lost) < 0.0055 + frames / 16384


def test_mass_of_many_small_weights_survives(backend: str) -> None:
    """1000 equal keys: each probability is below 1/256, and the mean of v comes out exactly."""
    frames, v = 1000, np.arange(1000) % 100
    xs = [np.zeros((2, frames), int)] * 3 + [np.stack([v, v])] + [np.zeros((2, 2 * frames - 1), int)]
    y = run(backend, step(1, 2, Dyadic(np.array([1 << 30]), np.array([38]))), xs, INT16)
    assert y.tolist() == [[round(49.5 * 128)] * frames] * 2


def run(backend: str, made: Attention, xs: list[NDArray[np.int64]], y_type: IntType) -> NDArray[Any]:
    """Attention over any operands: they come in as channels of one input; p is the result of positions through a
    convolution that picks columns by their sinusoids, so it takes the values only of `place_codes`."""
    width = len(xs[0])
    values = [ValueSpec("x", 4 * width, INT8)]
    steps: list[Any] = []
    for i, name in enumerate(("qu", "qv", "k", "v")):
        values.append(ValueSpec(name, width, INT8))
        pick = np.zeros((width, 4 * width, 1), int)
        pick[np.arange(width), i * width + np.arange(width), 0] = 1
        steps.append(Conv1d("x", name, pick, np.zeros(width, int), rescale=ONE))
    values += [ValueSpec("s", width, INT8), ValueSpec("p", width, INT8), ValueSpec("y", width, y_type)]
    fine, coarse = sinusoid_tables(width, 4096)
    steps.append(Positions("x", "s", fine, coarse))
    weight = (np.eye(width, dtype=int) if xs[4].any() else np.zeros((width, width), int))[:, :, None]
    steps += [Conv1d("s", "p", weight, np.zeros(width, int), rescale=ONE), made]
    program = Program(tuple(values), tuple(steps), "x", ("y",))
    (y,) = compile_program(program, backend).run([np.concatenate(xs[:4])])[0]
    return y


@pytest.mark.parametrize("frames", [1, 2, 3, 17, 64, 65, 130, 300])
@pytest.mark.parametrize("heads", [1, 4])
def test_every_backend_attends_alike(backend: str, heads: int, frames: int) -> None:
    depth = 8
    xs = operands(heads, depth, frames, seed=frames)
    fine, coarse = sinusoid_tables(heads * depth, 4096)
    xs[4] = positions_of(Positions("x", "s", fine, coarse), frames).astype(np.int64)
    rescale = Dyadic(np.random.default_rng(1).integers(1 << 30, 1 << 31, heads * depth), np.full(heads * depth, 38))
    for scale in (SCALE, 1.0, 1e-4):  # soft; one key takes all; all keys alike
        made = step(heads, depth, rescale, scale)
        assert_same([run(backend, made, xs, INT16)], [reference(made, xs, INT16)])


@pytest.mark.parametrize("frames", range(1, 14))
def test_the_index_of_a_position_is_nemos_shift(frames: int) -> None:
    """T - 1 - i + j equals pad, view, drop, for every i and j."""
    place = np.tile(np.arange(2 * frames - 1), (frames, 1))
    i, j = np.arange(frames)[:, None], np.arange(frames)[None, :]
    assert np.array_equal(rel_shift(place)[:, :frames], frames - 1 - i + j)


def test_positions_reach_the_scores_where_nemo_puts_them() -> None:
    """Weights of the position scores alone, against NeMo's shift in real arithmetic."""
    depth, frames = 16, 40
    qu, qv, k, _, p = operands(1, depth, frames)
    made = step(1, depth, Dyadic(np.array([1 << 30]), np.array([30])))
    e = weights(made, 0, 0 * qu, qv, k, p)
    _, qv_real, _, _, p_real = heads_of([qu, qv, k, k, p], 1)[0]
    expected = probabilities(scores(0 * qv_real, qv_real, 0 * qv_real, p_real))
    assert np.abs(e / e.sum(axis=1, keepdims=True) - expected).max() < 5e-3


@pytest.mark.parametrize("width", [144, 176, 512])
def test_sinusoids(width: int) -> None:
    """Every relative position that a published model serves: 5000 frames both ways."""
    frames = 5000
    fine, coarse = sinusoid_tables(width, frames)
    y = positions_of(Positions("x", "y", fine, coarse), frames)
    p = np.arange(frames - 1, -frames, -1)
    rates = 10000.0 ** (-np.arange(0, width, 2) / width)
    real = np.stack([np.sin(rates[:, None] * p), np.cos(rates[:, None] * p)], axis=1).reshape(width, -1)
    worst = float(np.abs(y - 127 * real).max())
    assert worst <= 0.52
    if width == 512:
        assert_stated("positions", "of y", worst)


@pytest.mark.parametrize("frames", [1, 2, 63, 64, 65, 128, 129, 700])
def test_every_backend_makes_the_same_positions(backend: str, frames: int) -> None:
    fine, coarse = sinusoid_tables(12, 704)
    made = Positions("x", "y", fine, coarse)
    program = Program((ValueSpec("x", 3, INT32), ValueSpec("y", 12, INT8)), (made,), "x", ("y",))
    (y,) = compile_program(program, backend).run([np.zeros((3, frames), int)])[0]
    assert_same([y], [positions_of(made, frames)])


@pytest.mark.parametrize("sign", [-1, 1])
def test_positions_of_any_table_saturate(backend: str, sign: int) -> None:
    """Tables that are no sinusoids: sums of 2^29 are held at 127."""
    fine, coarse = np.full((2, 1, 64), 16384), np.full((2, 1, 2), sign * 16384)
    made = Positions("x", "y", fine, coarse)
    program = Program((ValueSpec("x", 1, INT8), ValueSpec("y", 2, INT8)), (made,), "x", ("y",))
    (y,) = compile_program(program, backend).run([np.zeros((1, 100), int)])[0]
    assert y[0].tolist() == [sign * 127] * 100 + [-sign * 127] * 99 and not y[1].any()
