"""The exact oracle of layer_norm, activation, positions and attention: integers and fractions, from SPEC.md alone.

These ops approximate by definition, so the oracle follows SPEC's formulas; every rounding is done with fractions,
every root by bisection. What the formulas approximate, `test_accuracy_*` measures against real arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from math import floor

from int_kernels import Activation, Attention, Dyadic, LayerNorm, Positions

Rows = list[list[int]]


def nearest(value: Fraction) -> int:
    """The nearest integer, the greater one of two equally near."""
    return floor(value + Fraction(1, 2))


def within(value: int, lo: int, hi: int) -> int:
    return min(max(value, lo), hi)


def dyadic(rescale: Dyadic, channel: int) -> Fraction:
    place = channel if rescale.channels > 1 else 0
    return Fraction(int(rescale.multiplier[place]), 1 << int(rescale.shift[place]))


def halvings(t: int) -> Fraction:
    """2^(-t/65536), by the polynomial."""
    whole, part = divmod(t, 65536)
    f = 65536 - part
    inner = 43269 + floor(Fraction(22267 * f, 65536))
    return Fraction(65536 + floor(Fraction(f * inner, 65536)), 1 << 17) / (1 << whole)


def logistic(u: int) -> int:
    """1 / (1 + e^-u) in 1/32768, u in 1/1024."""
    t = min(nearest(Fraction(abs(u) * 94548, 1024)), 31 * 65536)
    e = nearest(halvings(t) * (1 << 30))
    s = nearest(Fraction(1 << 45, (1 << 30) + e))
    return s if u >= 0 else 32768 - s


def activate_exactly(step: Activation, xs: list[int], channel: int, clip: tuple[int, int]) -> int:
    us = [
        within(nearest(x * dyadic(rescale, channel)), -65536, 65536)
        for x, rescale in zip(xs, step.rescales, strict=True)
    ]
    u = us[0]
    if step.kind == "sigmoid":
        v = logistic(u)
    elif step.kind == "tanh":
        v = 2 * logistic(u) - 32768
    elif step.kind == "gelu":
        square = nearest(Fraction(u * u, 1024))
        w = nearest(Fraction(u * (104580 + nearest(Fraction(square * 4676, 1024))), 65536))
        v = u * logistic(within(w, -65536, 65536))
    else:
        v = u * logistic(us[-1])
    assert abs(v) <= 1 << 31
    return within(nearest(Fraction(v * step.multiplier, 1 << step.shift)) + step.offset, *clip)


def floor_root(value: int) -> int:
    """floor(sqrt(value)) by bisection."""
    low, high = 0, 1 << (value.bit_length() // 2 + 1)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if middle * middle <= value else (low, middle)
    return low


def normalise_exactly(step: LayerNorm, q: list[int], clip: tuple[int, int]) -> list[int]:
    d, s1, s2 = len(q), sum(q), sum(value * value for value in q)
    variance = (d * s2 - s1 * s1) * 4096 + step.epsilon
    k = max(0, (62 - len(f"{variance:b}")) // 2)
    inverse = 2**62 // floor_root(variance * 4**k)
    result = []
    for c, value in enumerate(q):
        z = nearest(Fraction((d * value - s1) * inverse, 2 ** (42 - k)))
        total = z * int(step.multipliers[c]) + int(step.bias[c])
        assert abs(z) <= (floor_root(d - 1) + 1) * 2**14 and abs(total) < 2**63
        result.append(within(nearest(Fraction(total, 2 ** int(step.shift[c]))), *clip))
    return result


def positions_exactly(step: Positions, frames: int) -> Rows:
    rows: Rows = []
    for fine, coarse in zip(step.fine.swapaxes(0, 1).tolist(), step.coarse.swapaxes(0, 1).tolist(), strict=True):
        sines, cosines = [], []
        for p in range(frames - 1, -frames, -1):
            i, k = divmod(abs(p), 64)
            sine = coarse[0][i] * fine[1][k] + coarse[1][i] * fine[0][k]
            cosine = coarse[1][i] * fine[1][k] - coarse[0][i] * fine[0][k]
            sines.append(within(nearest(Fraction((sine if p >= 0 else -sine) * 127, 1 << 28)), -127, 127))
            cosines.append(within(nearest(Fraction(cosine * 127, 1 << 28)), -127, 127))
        rows += [sines, cosines]
    return rows


def attend_exactly(step: Attention, xs: list[Rows], clip: tuple[int, int]) -> Rows:
    depth = len(xs[0]) // step.heads
    rows: Rows = []
    for h in range(step.heads):
        qu, qv, k, v, p = (x[h * depth : (h + 1) * depth] for x in xs)
        frames = len(k[0])
        mixed: Rows = [[] for _ in range(depth)]
        for i in range(frames):
            scores = [score(step, h, qu, qv, k, p, i, j) for j in range(frames)]
            e = [nearest(halvings(min(max(scores) - s, 31 * 65536)) * 16384) for s in scores]
            for d in range(depth):
                share = nearest(Fraction(sum(a * b for a, b in zip(e, v[d], strict=True)) * 2**15, sum(e)))
                mixed[d].append(within(nearest(share * dyadic(step.rescale, h * depth + d)), *clip))
        rows += mixed
    return rows


def score(step: Attention, h: int, qu: Rows, qv: Rows, k: Rows, p: Rows, i: int, j: int) -> int:
    place = len(k[0]) - 1 - i + j
    content = dot(qu, k, i, j) * int(step.content[h])
    position = dot(qv, p, i, place) * int(step.position[h])
    assert abs(content) + abs(position) + (1 << (step.shift - 1)) < 2**63
    return within(nearest(Fraction(content + position, 1 << step.shift)), -(2**29), 2**29)


def dot(a: Sequence[Sequence[int]], b: Sequence[Sequence[int]], i: int, j: int) -> int:
    return sum(row[i] * other[j] for row, other in zip(a, b, strict=True))
