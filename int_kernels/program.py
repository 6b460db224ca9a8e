"""A whole program, and the proof that it can run without an overflow (SPEC 5, 6).

Everything is checked here, once, when the program is built; executors run blind.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.bounds import Bounds, accumulator_bounds, product_bounds
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.int_type import INT32, IntType
from int_kernels.lengths import MAX_ELEMENTS, MAX_FRAMES, MAX_OFFSET, Length
from int_kernels.steps import MAX_CHANNELS, Argmax, Clip, Conv1d, Step, Sum

INT64_LO, INT64_HI = -(1 << 63), (1 << 63) - 1


@dataclass(frozen=True)
class ValueSpec:
    """One value of a program: integers of `type`, [channels, T]."""

    name: str
    channels: int
    type: IntType

    def __post_init__(self) -> None:
        if not isinstance(self.type, IntType):
            raise KernelError(f"value '{self.name}' type: needed an IntType; came {self.type!r}")
        if not isinstance(self.channels, (int, np.integer)) or not 1 <= self.channels <= MAX_CHANNELS:
            raise ShapeError(f"value '{self.name}' channels: needed 1 to {MAX_CHANNELS}; came {self.channels!r}")


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in the order they run, from one input to the outputs.

    Each value but the input is made by exactly one step, before any use. Construction proves that shapes and types
    fit, that every convolution's accumulator fits int32 and every sum's int64. Derived, read-only: `lengths`
    (value -> Length) and `ranges` (value -> lowest and highest, int64 [C]).

    Raises KernelError (names, order, types), ShapeError (channels, lengths), RangeError (clips, overflow).
    """

    values: tuple[ValueSpec, ...]
    steps: tuple[Step, ...]
    input: str
    outputs: tuple[str, ...]
    lengths: Mapping[str, Length] = field(init=False, repr=False)
    ranges: Mapping[str, Bounds] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        specs = _specs_by_name(self.values)
        _require_known(specs, self.input, "input")
        lengths = {self.input: Length()}
        ranges = {self.input: _type_range(specs[self.input])}
        for step in self.steps:
            _check_names(step, specs, lengths)
            lengths[step.y], ranges[step.y] = _check_step(step, specs, lengths, ranges)
            _check_length(step.y, lengths[step.y])
        _check_outputs(self, specs, lengths)
        object.__setattr__(self, "lengths", MappingProxyType(lengths))
        object.__setattr__(self, "ranges", MappingProxyType(ranges))

    def spec(self, name: str) -> ValueSpec:
        """The value called `name`. Raises KernelError when there is none."""
        for value in self.values:
            if value.name == name:
                return value
        raise KernelError(f"program: needed the name of one of its values; came {name!r}")

    @property
    def shortest_input(self) -> int:
        """The fewest input frames for which every value has at least one frame."""
        return max(1, *(length.shortest_input for length in self.lengths.values()))

    @property
    def longest_input(self) -> int:
        """The most input frames for which no value holds more than 2^31 - 1 numbers, at most 2^20."""
        return min(MAX_FRAMES, *(self.lengths[v.name].longest_input(MAX_ELEMENTS // v.channels) for v in self.values))

    def check_input(self, x: NDArray[Any], where: str = "input") -> NDArray[Any]:
        """`x` as a contiguous [C, T] array of the input's storage type, every code inside the type.

        Raises KernelError for numbers that are not integers, ShapeError for wrong axes, channels or length,
        RangeError for a code outside the type.
        """
        spec = self.spec(self.input)
        given = np.asarray(x)
        if given.dtype.kind not in "iu":
            raise KernelError(f"{where}: needed integer codes of {spec.type}; came dtype {given.dtype}; quantize first")
        if given.ndim != 2 or given.shape[0] != spec.channels:
            raise ShapeError(f"{where}: needed [{spec.channels}, T]; came {list(given.shape)}")
        shortest, longest = self.shortest_input, self.longest_input
        if not shortest <= given.shape[1] <= longest:
            raise ShapeError(f"{where}: needed {shortest} to {longest} frames; came {given.shape[1]}; pad or split it")
        if int(given.min()) < spec.type.lo or int(given.max()) > spec.type.hi:
            raise RangeError(
                f"{where}: needed codes of {spec.type}, {spec.type.lo} to {spec.type.hi}; came {given.min()} to "
                f"{given.max()}; saturate when quantizing"
            )
        return np.ascontiguousarray(given, dtype=spec.type.storage)


def _specs_by_name(values: Sequence[ValueSpec]) -> dict[str, ValueSpec]:
    specs: dict[str, ValueSpec] = {}
    for value in values:
        if value.name in specs:
            raise KernelError(f"program values: needed each name once; came '{value.name}' twice; rename one")
        specs[value.name] = value
    return specs


def _require_known(specs: Mapping[str, ValueSpec], name: str, where: str) -> None:
    if name not in specs:
        raise KernelError(f"program {where}: needed a declared value; came {name!r}; add a ValueSpec for it")


def _check_names(step: Step, specs: Mapping[str, ValueSpec], made: Mapping[str, Length]) -> None:
    if not isinstance(step, Conv1d | Sum | Argmax):
        raise KernelError(f"program steps: needed Conv1d, Sum or Argmax; came {type(step).__name__}")
    where = f"step '{step.y}'"
    _require_known(specs, step.y, where)
    if step.y in made:
        raise KernelError(f"{where}: needed a value that is not there yet; '{step.y}' is made already; use a new name")
    for name in step.inputs:
        _require_known(specs, name, where)
        if name not in made:
            raise KernelError(f"{where}: needed '{name}' before this step; it comes later or never; put steps in order")


def _check_step(
    step: Step, specs: Mapping[str, ValueSpec], lengths: Mapping[str, Length], ranges: Mapping[str, Bounds]
) -> tuple[Length, Bounds]:
    """Length and exact range of the step's result, or the refusal of the step."""
    if isinstance(step, Conv1d):
        return _check_conv1d(step, specs, lengths)
    if isinstance(step, Sum):
        return _check_sum(step, specs, lengths, ranges)
    return _check_argmax(step, specs, lengths)


def _check_conv1d(step: Conv1d, specs: Mapping[str, ValueSpec], lengths: Mapping[str, Length]) -> tuple[Length, Bounds]:
    where, x, y = f"conv1d '{step.y}'", specs[step.x], specs[step.y]
    if not x.type.is_code:
        raise KernelError(f"{where}: needed codes of at most 8 bits as x; '{x.name}' is {x.type}; rescale it by a Sum")
    _require_channels(where, x, step.channels_in)
    _require_channels(where, y, step.channels_out)
    without_bias = product_bounds(step.weight, x.type)
    lowest, highest = accumulator_bounds(step.weight, step.bias, x.type)
    low = int(min(lowest.min(), without_bias[0].min()))
    high = int(max(highest.max(), without_bias[1].max()))
    if low < INT32.lo or high > INT32.hi:
        raise RangeError(
            f"{where}: needed accumulators within {INT32.lo} to {INT32.hi}; the worst case is {low} to {high}; "
            "use a coarser scale for weight or bias"
        )
    length = lengths[step.x].after_conv(step.kernel, step.stride, step.dilation, step.padding)
    if step.rescale is not None:
        return length, _clip_range(where, step.clip, y)
    if y.type != INT32:
        raise KernelError(f"{where}: needed int32 for a raw accumulator; '{y.name}' is {y.type}; give a rescale")
    return length, (lowest, highest)


def _check_sum(
    step: Sum, specs: Mapping[str, ValueSpec], lengths: Mapping[str, Length], ranges: Mapping[str, Bounds]
) -> tuple[Length, Bounds]:
    where, y = f"sum '{step.y}'", specs[step.y]
    _require_channels(where, y, step.shift.size)
    first = lengths[step.xs[0]]
    for name in step.xs:
        _require_channels(where, specs[name], y.channels)
        if lengths[name] != first:
            raise ShapeError(
                f"{where}: needed inputs equally long for every T; '{step.xs[0]}' has {first}, '{name}' has "
                f"{lengths[name]}; give both branches the same stride and matching padding"
            )
    for channel in range(y.channels):
        # Python integers: the worst case of a refused program does not fit int64
        factors = [int(m) for m in step.multipliers[:, channel]]
        pairs = [(int(ranges[x][0][channel]), int(ranges[x][1][channel])) for x in step.xs]
        half = 1 << (int(step.shift[channel]) - 1)
        low = sum(min(0, lo) * m for m, (lo, _) in zip(factors, pairs, strict=True))
        high = sum(max(0, hi) * m for m, (_, hi) in zip(factors, pairs, strict=True)) + half
        if low < INT64_LO or high > INT64_HI:
            raise RangeError(
                f"{where} channel {channel}: needed a sum within 64 bits; the worst case is {low} to {high}; "
                "lower the multipliers and the shift together"
            )
    return first, _clip_range(where, step.clip, y)


def _check_argmax(step: Argmax, specs: Mapping[str, ValueSpec], lengths: Mapping[str, Length]) -> tuple[Length, Bounds]:
    where, y = f"argmax '{step.y}'", specs[step.y]
    _require_channels(where, y, 1)
    if y.type != INT32:
        raise KernelError(f"{where}: needed int32 for channel indices; '{y.name}' is {y.type}")
    last = specs[step.x].channels - 1
    return lengths[step.x], (np.zeros(1, np.int64), np.full(1, last, np.int64))


def _check_length(name: str, length: Length) -> None:
    if length.shortest_input > MAX_FRAMES or abs(length.offset) > MAX_OFFSET or length.stride > MAX_OFFSET:
        raise ShapeError(
            f"value '{name}': needed at least one frame for some input of at most {MAX_FRAMES} frames, with "
            f"stride and offset of at most {MAX_OFFSET}; came {length}; lower kernel, dilation, stride or padding"
        )


def _require_channels(where: str, spec: ValueSpec, channels: int) -> None:
    if spec.channels != channels:
        raise ShapeError(f"{where}: needed '{spec.name}' with {channels} channels; it has {spec.channels}")


def _type_range(spec: ValueSpec) -> Bounds:
    return np.full(spec.channels, spec.type.lo, np.int64), np.full(spec.channels, spec.type.hi, np.int64)


def _clip_range(where: str, clip: Clip, y: ValueSpec) -> Bounds:
    lo, hi = clip if clip is not None else (y.type.lo, y.type.hi)
    if lo < y.type.lo or hi > y.type.hi:
        raise RangeError(f"{where} clip: needed a part of {y.type}, {y.type.lo} to {y.type.hi}; came {lo} to {hi}")
    return np.full(y.channels, lo, np.int64), np.full(y.channels, hi, np.int64)


def _check_outputs(program: Program, specs: Mapping[str, ValueSpec], made: Mapping[str, Length]) -> None:
    if not program.outputs or len(set(program.outputs)) != len(program.outputs):
        raise KernelError(f"program outputs: needed at least one name, each once; came {program.outputs!r}")
    for name in program.outputs:
        _require_known(specs, name, "outputs")
        if name not in made or name == program.input:
            raise KernelError(f"program outputs: needed a value that a step makes; nothing makes '{name}'")
    for name in specs:
        if name not in made:
            raise KernelError(f"program values: needed a step for each; nothing makes '{name}'; remove it")
