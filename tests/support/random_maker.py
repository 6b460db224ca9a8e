"""What grows a program for hypothesis, step by step, and its blocks of convolutions: chains, separable units, residual
sums, odd shapes, extreme codes. The blocks of other ops are in `random_blocks`."""

from __future__ import annotations

from dataclasses import dataclass, field
from math import isqrt
from typing import Any

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn
from numpy.typing import NDArray

from int_kernels import INT16, INT32, Conv1d, Dyadic, IntType, Step, Sum, ValueSpec

CODE_TYPES = [IntType(bits, signed) for bits in range(2, 9) for signed in (True, False)]


def codes(random: np.random.Generator, shape: tuple[int, ...], code_type: IntType) -> NDArray[np.int64]:
    """Codes of a type: mostly anything, at times each at one of the rails, seldom all at one rail."""
    lo, hi = code_type.lo, code_type.hi
    style = random.integers(8)
    if style < 2:
        return random.choice([lo, hi], shape)
    if style == 2:
        return np.full(shape, random.choice([lo, hi]))
    return random.integers(lo, hi, shape, endpoint=True)


def bits(number: int) -> int:
    return max(number, 1).bit_length()


@dataclass
class Maker:
    """Grows a program step by step; every random number that does not shape it comes from one seed."""

    draw: DrawFn
    most_channels: int
    longest_kernel: int
    random: np.random.Generator = field(init=False)
    values: list[ValueSpec] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    spread: dict[str, int] = field(default_factory=dict)  # raw accumulator -> its usual magnitude

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.draw(st.integers(0, 2**32 - 1)))
        self.value(self.draw(st.integers(1, self.most_channels)), self.draw(st.sampled_from(CODE_TYPES)))

    def value(self, channels: int, int_type: IntType) -> ValueSpec:
        self.values.append(ValueSpec(f"v{len(self.values)}", channels, int_type))
        return self.values[-1]

    def rescale(self, spread: int, y_type: IntType, channels: int) -> Dyadic:
        """Ratios that spread accumulators of magnitude `spread` over the result's range, now and then far off."""
        count = self.draw(st.sampled_from([1, channels]))
        shift = 31 + bits(spread) - bits(y_type.hi) + self.random.integers(-2, 2, count)
        multiplier = self.random.integers(1 << 30, 1 << 31, count)
        odd = self.random.integers(16)
        if odd == 0:
            multiplier[0] = 0
        elif odd == 1:
            shift[0] = self.random.choice([1, 62])
        elif odd == 2:
            multiplier[:] = self.random.choice([1 << 30, (1 << 31) - 1])
        return Dyadic(multiplier, np.clip(shift, 1, 62))

    def clip(self, y_type: IntType) -> tuple[int, int] | None:
        choices = [None, None, (0, y_type.hi), (y_type.lo // 2, y_type.hi // 3)]
        return self.draw(st.sampled_from(choices))

    def conv(self, x: ValueSpec, out: int, shape: dict[str, int], y_type: IntType, is_raw: bool = False) -> ValueSpec:
        """A convolution; shape: kernel, stride, dilation, padding, groups."""
        kernel, groups = shape["kernel"], shape["groups"]
        weight_type = IntType(self.draw(st.integers(2, 8)))
        weight = codes(self.random, (out, x.channels // groups, kernel), weight_type)
        y = self.value(out, y_type)
        taps = kernel * (x.channels // groups)
        spread = 1 + x.type.hi * weight_type.hi * (1 + isqrt(taps)) // 3
        bias = self.random.integers(-spread, spread + 1, out)
        rest: dict[str, Any] = {name: shape[name] for name in ("stride", "dilation", "padding", "groups")}
        if is_raw:
            self.steps.append(Conv1d(x.name, y.name, weight, bias, **rest))
            self.spread[y.name] = spread
        else:
            rescale = self.rescale(spread, y_type, out)
            self.steps.append(Conv1d(x.name, y.name, weight, bias, rescale=rescale, clip=self.clip(y_type), **rest))
        return y

    def any_conv(self, x: ValueSpec) -> ValueSpec:
        groups = self.draw(st.sampled_from([g for g in range(1, x.channels + 1) if x.channels % g == 0]))
        out = groups * self.draw(st.integers(1, max(1, self.most_channels // groups)))
        shape = {
            "kernel": self.draw(st.integers(1, self.longest_kernel)),
            "stride": self.draw(st.sampled_from([1, 1, 2, 3, 5])),
            "dilation": self.draw(st.integers(1, 4)),
            "groups": groups,
        }
        shape["padding"] = self.draw(st.integers(0, shape["dilation"] * shape["kernel"]))
        return self.conv(x, out, shape, self.draw(st.sampled_from(CODE_TYPES)))

    def separable(self, x: ValueSpec, out: int, y_type: IntType, is_raw: bool = False) -> ValueSpec:
        """Depthwise, then pointwise; the length stays."""
        half, dilation = self.draw(st.integers(0, self.longest_kernel // 2)), self.draw(st.integers(1, 2))
        shape = {"kernel": 2 * half + 1, "stride": 1, "dilation": dilation, "padding": half * dilation}
        middle = self.conv(x, x.channels, shape | {"groups": x.channels}, self.draw(st.sampled_from(CODE_TYPES)))
        return self.pointwise(middle, out, y_type, is_raw)

    def pointwise(self, x: ValueSpec, out: int, y_type: IntType, is_raw: bool = False) -> ValueSpec:
        shape = {"kernel": 1, "stride": 1, "dilation": 1, "padding": 0, "groups": 1}
        return self.conv(x, out, shape, y_type, is_raw)

    def residual(self, x: ValueSpec) -> ValueSpec:
        """Two to four branches of separable units and 1x1 convolutions, added with one rounding."""
        out = self.draw(st.integers(1, self.most_channels))
        branches = []
        for _ in range(self.draw(st.integers(1, 4))):
            make = self.draw(st.sampled_from([self.separable, self.pointwise]))
            is_raw = self.draw(st.booleans())
            branches.append(make(x, out, INT32 if is_raw else self.draw(st.sampled_from(CODE_TYPES)), is_raw))
        if x.channels == out and self.draw(st.booleans()):
            branches.append(x)
        return self.sum(branches, self.draw(st.sampled_from(CODE_TYPES)))

    def sum(self, branches: list[ValueSpec], y_type: IntType) -> ValueSpec:
        """One rounding for all branches, with or without a bias; every branch is heard."""
        y = self.value(branches[0].channels, y_type)
        width = self.draw(st.sampled_from([8, 20, 30]))  # bits of the multiplier of the widest branch
        spreads = [self.spread.get(branch.name, branch.type.hi) for branch in branches]
        most = [max(1, (1 << width) * min(spreads) // spread) for spread in spreads]
        multipliers = self.random.integers(0, np.array(most)[:, None] + 1, (len(branches), y.channels))
        shift = width + bits(min(spreads)) - bits(y.type.hi) + self.random.integers(-1, 2, y.channels)
        shift = np.clip(shift, 1, 62)
        bias = self.random.integers(-(1 << 40), 1 << 40, y.channels) >> self.random.integers(0, 40)
        has_bias = self.draw(st.booleans())
        names = tuple(branch.name for branch in branches)
        self.steps.append(Sum(names, y.name, multipliers, shift, self.clip(y.type), bias if has_bias else None))
        return y

    def code(self, x: ValueSpec) -> ValueSpec:
        """`x` itself when it is of codes, else rescaled to codes of any type."""
        return x if x.type.is_code else self.sum([x], self.draw(st.sampled_from(CODE_TYPES)))

    def narrow_type(self) -> IntType:
        """Codes of any type, or int16."""
        return self.draw(st.sampled_from([*CODE_TYPES, *[INT16] * 4]))
