"""Which values share memory: slots of the arena, chosen ahead of any run."""

from __future__ import annotations

import math
from collections.abc import Mapping

from int_kernels.program import Program


def plan_slots(program: Program) -> Mapping[str, int]:
    """Value -> slot, for every value but the input and the outputs (those live in the caller's arrays).

    A slot is free again after the last step that reads its value; each new value takes the free slot that has to grow
    least for it, of those the one nearest in size, counted in bytes per input frame, so that the choice is the same for
    every length. It takes none more than twice as large or as small: two workers write half of a value each, and where
    sizes change, the half of one core lies in the other one's cache (3 % of QuartzNet's time on two threads). Values of
    length *once* share slots among themselves only. A step's result never shares a slot with what the step reads.
    """
    last_use = {name: index for index, step in enumerate(program.steps) for name in (step.y, *step.inputs)}
    elsewhere = {program.input, *program.outputs}
    unit = math.lcm(*(length.stride for length in program.lengths.values()))
    slots: dict[str, int] = {}
    capacity: list[int] = []
    free: dict[bool, list[int]] = {False: [], True: []}
    for index, step in enumerate(program.steps):
        if step.y not in elsewhere:
            size, unused = _size(program, step.y, unit), free[_is_once(program, step.y)]
            slot = min(
                (slot for slot in unused if size <= 2 * capacity[slot] and capacity[slot] <= 2 * size),
                key=lambda candidate: (max(0, size - capacity[candidate]), abs(capacity[candidate] - size)),
                default=len(capacity),
            )
            if slot == len(capacity):
                capacity.append(size)
            else:
                unused.remove(slot)
                capacity[slot] = max(capacity[slot], size)
            slots[step.y] = slot
        for name in {step.y, *step.inputs} & slots.keys():
            if last_use[name] == index:
                free[_is_once(program, name)].append(slots[name])
    return slots


def _size(program: Program, name: str, unit: int) -> int:
    """Bytes per `unit` input frames of a long utterance; `unit` times the bytes for a value of length *once*.

    unit: a multiple of every stride, so that this is a whole number.
    """
    value, length = program.spec(name), program.lengths[name]
    lengths_per_unit = (2 if length.kind == "positions" else 1) * unit // length.stride
    return value.channels * value.type.storage.itemsize * lengths_per_unit


def _is_once(program: Program, name: str) -> bool:
    return program.lengths[name].kind == "once"
