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

from int_kernels.bounds import Bounds
from int_kernels.errors import KernelError, RangeError, ShapeError
from int_kernels.lengths import MAX_ELEMENTS, MAX_FRAMES, MAX_OFFSET, Length
from int_kernels.ops import Step
from int_kernels.ops.proof_context import ProofContext, type_range
from int_kernels.values import ValueSpec

__all__ = ["Program", "ValueSpec"]


@dataclass(frozen=True, eq=False)
class Program:
    """Steps in the order they run, from one input to the outputs.

    Each value but the input is made by exactly one step, before any use. Construction proves that shapes and types
    fit and that no accumulator can leave its 32 or 64 bits (SPEC 5). Derived, read-only: `specs` (value -> ValueSpec),
    `lengths` (value -> Length), `ranges` (value -> lowest and highest, int64 [C]), `shortest_input` (the fewest input
    frames for which every value has at least one frame) and `longest_input` (the most for which no value holds more
    than 2^31 - 1 numbers and no step more frames than it serves, at most 2^20).

    Raises KernelError (names, order, types), ShapeError (channels, lengths), RangeError (clips, overflow).
    """

    values: tuple[ValueSpec, ...]
    steps: tuple[Step, ...]
    input: str
    outputs: tuple[str, ...]
    specs: Mapping[str, ValueSpec] = field(init=False, repr=False)
    lengths: Mapping[str, Length] = field(init=False, repr=False)
    ranges: Mapping[str, Bounds] = field(init=False, repr=False)
    shortest_input: int = field(init=False, repr=False)
    longest_input: int = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", tuple(self.values))
        object.__setattr__(self, "steps", tuple(self.steps))
        object.__setattr__(self, "outputs", tuple(self.outputs))
        specs = _specs_by_name(self.values)
        _require_known(specs, self.input, "input")
        context = ProofContext(specs)
        context.lengths[self.input] = Length()
        context.ranges[self.input] = type_range(specs[self.input].channels, specs[self.input].type)
        for step in self.steps:
            _check_names(step, specs, context.lengths)
            context.lengths[step.y], context.ranges[step.y] = step.prove(context)
            _check_length(step.y, context.lengths[step.y])
        _check_outputs(self, specs, context.lengths)
        object.__setattr__(self, "specs", MappingProxyType(specs))
        object.__setattr__(self, "lengths", MappingProxyType(context.lengths))
        object.__setattr__(self, "ranges", MappingProxyType(context.ranges))
        shortest, longest = _input_lengths(context)
        object.__setattr__(self, "shortest_input", shortest)
        object.__setattr__(self, "longest_input", longest)

    def spec(self, name: str) -> ValueSpec:
        """The value called `name`. Raises KernelError when there is none."""
        if name not in self.specs:
            raise KernelError(f"program: expected the name of one of its values, got {name!r}")
        return self.specs[name]

    def step(self, name: str) -> Step:
        """The step that makes the value `name`. Raises KernelError when there is none."""
        for step in self.steps:
            if step.y == name:
                return step
        raise KernelError(f"program: expected the name of a value that a step makes, got {name!r}")

    def check_input(self, x: NDArray[Any], where: str = "input") -> NDArray[Any]:
        """`x` as a contiguous [C, T] array of the input's storage type, every code inside the type.

        Raises KernelError for numbers that are not integers, ShapeError for wrong axes, channels or length,
        RangeError for a code outside the type.
        """
        spec = self.spec(self.input)
        given = np.asarray(x)
        if given.dtype.kind not in "iu":
            raise KernelError(
                f"{where}: expected integer codes of {spec.type}, got dtype {given.dtype}; quantize first"
            )
        if given.ndim != 2 or given.shape[0] != spec.channels:
            raise ShapeError(f"{where}: expected [{spec.channels}, T], got {list(given.shape)}")
        shortest, longest = self.shortest_input, self.longest_input
        if not shortest <= given.shape[1] <= longest:
            raise ShapeError(f"{where}: expected {shortest} to {longest} frames, got {given.shape[1]}; pad or split it")
        lo, hi, storage = spec.type.lo, spec.type.hi, np.iinfo(given.dtype)
        if (storage.min < lo or storage.max > hi) and (int(given.min()) < lo or int(given.max()) > hi):
            raise RangeError(
                f"{where}: expected codes of {spec.type}, {lo} to {hi}, got {given.min()} to {given.max()}; "
                "saturate when quantizing"
            )
        return np.ascontiguousarray(given, dtype=spec.type.storage)


def _specs_by_name(values: Sequence[ValueSpec]) -> dict[str, ValueSpec]:
    specs: dict[str, ValueSpec] = {}
    for value in values:
        if value.name in specs:
            raise KernelError(f"program values: expected each name once, got '{value.name}' twice; rename one")
        specs[value.name] = value
    return specs


def _require_known(specs: Mapping[str, ValueSpec], name: str, where: str) -> None:
    if name not in specs:
        raise KernelError(f"program {where}: expected a declared value, got {name!r}; add a ValueSpec for it")


def _check_names(step: Step, specs: Mapping[str, ValueSpec], made: Mapping[str, Length]) -> None:
    if not isinstance(step, Step):
        raise KernelError(f"program steps: expected a step such as Conv1d or Sum, got {type(step).__name__}")
    where = f"step '{step.y}'"
    if not isinstance(step.origin, str):
        raise KernelError(f"{where} origin: expected a text, got {step.origin!r:.60}")
    _require_known(specs, step.y, where)
    if step.y in made:
        raise KernelError(
            f"{where}: expected a value that is not there yet; '{step.y}' is made already; use a new name"
        )
    for name in step.inputs:
        _require_known(specs, name, where)
        if name not in made:
            raise KernelError(
                f"{where}: expected '{name}' before this step; it comes later or never; put steps in order"
            )


def _check_length(name: str, length: Length) -> None:
    if length.shortest_input > MAX_FRAMES or abs(length.offset) > MAX_OFFSET or length.stride > MAX_OFFSET:
        raise ShapeError(
            f"value '{name}': expected at least one frame for some input of at most {MAX_FRAMES} frames, with "
            f"stride and offset of at most {MAX_OFFSET}, got {length}; lower kernel, dilation, stride or padding"
        )


def _input_lengths(context: ProofContext) -> tuple[int, int]:
    """The shortest and the longest input that serve every value and every step. Raises ShapeError when none does."""
    shortest = max(1, *(length.shortest_input for length in context.lengths.values()))
    fits = (context.lengths[spec.name].longest_input(MAX_ELEMENTS // spec.channels) for spec in context.specs.values())
    longest = min(context.longest_input, *fits)
    if shortest > longest:
        raise ShapeError(
            f"program: expected a length of input that serves every step; some need at least {shortest} frames, others "
            f"at most {longest}; lower the padding or give positions larger tables"
        )
    return shortest, longest


def _check_outputs(program: Program, specs: Mapping[str, ValueSpec], made: Mapping[str, Length]) -> None:
    if not program.outputs or len(set(program.outputs)) != len(program.outputs):
        raise KernelError(f"program outputs: expected at least one name, each once, got {program.outputs!r}")
    for name in program.outputs:
        _require_known(specs, name, "outputs")
        if name not in made or name == program.input:
            raise KernelError(f"program outputs: expected a value that a step makes; nothing makes '{name}'")
    for name in specs:
        if name not in made:
            raise KernelError(f"program values: expected a step for each; nothing makes '{name}'; remove it")
