"""Which values share memory: slots of the arena, chosen ahead of any run."""

from __future__ import annotations

from collections.abc import Mapping
from fractions import Fraction

from int_kernels.program import Program


def plan_slots(program: Program) -> Mapping[str, int]:
    """Value -> slot, for every value but the input and the outputs (those live in the caller's arrays).

    A slot is free again after the last step that reads its value; each new value takes the free slot whose size is
    nearest to its own, counted in bytes per input frame, so that the choice is the same for every length. A step's
    result never shares a slot with what the step reads.
    """
    last_use = {name: index for index, step in enumerate(program.steps) for name in (step.y, *step.inputs)}
    elsewhere = {program.input, *program.outputs}
    size = {
        value.name: Fraction(value.channels * value.type.storage.itemsize, program.lengths[value.name].stride)
        for value in program.values
    }
    slots: dict[str, int] = {}
    capacity: list[Fraction] = []
    free: list[int] = []
    for index, step in enumerate(program.steps):
        if step.y not in elsewhere:
            if free:
                slot = min(free, key=lambda candidate: abs(capacity[candidate] - size[step.y]))
                free.remove(slot)
                capacity[slot] = max(capacity[slot], size[step.y])
            else:
                slot = len(capacity)
                capacity.append(size[step.y])
            slots[step.y] = slot
        for name in {step.y, *step.inputs} & slots.keys():
            if last_use[name] == index:
                free.append(slots[name])
    return slots
