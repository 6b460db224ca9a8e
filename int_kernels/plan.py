"""Which values share memory: slots of the arena, chosen ahead of any run."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping

from int_kernels.program import Program


def plan_slots(program: Program) -> Mapping[str, int]:
    """Value -> slot, for every value but the input and the outputs (those live in the caller's arrays).

    A slot is free again after the last step that reads its value; each new value takes the free slot whose size is
    nearest to its own, counted in bytes per input frame, so that the choice is the same for every length. Values of
    length *once* share slots among themselves only, and so do values of 8 bits and wider ones: two workers write half
    of the channels each, and where widths changed, the half of one core would be in the other one's cache (3 % of
    QuartzNet's time on two threads). A step's result never shares a slot with what the step reads.
    """
    last_use = {name: index for index, step in enumerate(program.steps) for name in (step.y, *step.inputs)}
    elsewhere = {program.input, *program.outputs}
    unit = math.lcm(*(length.stride for length in program.lengths.values()))
    slots: dict[str, int] = {}
    capacity: list[int] = []
    free = defaultdict[tuple[bool, bool], list[int]](list)
    for index, step in enumerate(program.steps):
        if step.y not in elsewhere:
            size, choice = _size(program, step.y, unit), free[_kind(program, step.y)]
            if choice:
                slot = min(choice, key=lambda candidate: abs(capacity[candidate] - size))
                choice.remove(slot)
                capacity[slot] = max(capacity[slot], size)
            else:
                slot = len(capacity)
                capacity.append(size)
            slots[step.y] = slot
        for name in {step.y, *step.inputs} & slots.keys():
            if last_use[name] == index:
                free[_kind(program, name)].append(slots[name])
    return slots


def _size(program: Program, name: str, unit: int) -> int:
    """Bytes per `unit` input frames of a long utterance; `unit` times the bytes for a value of length *once*.

    unit: a multiple of every stride, so that this is a whole number.
    """
    value, length = program.spec(name), program.lengths[name]
    lengths_per_unit = (2 if length.kind == "positions" else 1) * unit // length.stride
    return value.channels * value.type.storage.itemsize * lengths_per_unit


def _kind(program: Program, name: str) -> tuple[bool, bool]:
    """What values in one slot have in common: of length *once* or not, wider than 8 bits or not."""
    return program.lengths[name].kind == "once", program.spec(name).type.storage.itemsize > 1
