from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from random_programs import programs

from int_kernels import INT8, Conv1d, Dyadic, Program, ValueSpec
from int_kernels.native_executable import NativeExecutable
from int_kernels.plan import plan_slots


@settings(max_examples=60)
@given(program=programs(most_blocks=6))
def test_no_value_is_overwritten_while_it_is_needed(program: Program) -> None:
    slots = plan_slots(program)
    assert slots.keys() == {step.y for step in program.steps} - set(program.outputs)
    holds: dict[int, str] = {}
    for step in program.steps:
        for x in step.inputs:
            assert x not in slots or holds[slots[x]] == x, f"{x} was overwritten before {step.y} read it"
        if step.y in slots:
            holds[slots[step.y]] = step.y
        assert all(slots.get(x) != slots.get(step.y) for x in step.inputs if x in slots)


def chain(length: int) -> Program:
    """`length` convolutions in a row."""
    half = Dyadic(np.array([1 << 30]), np.array([31]))
    values = tuple(ValueSpec(f"v{i}", 2, INT8) for i in range(length + 1))
    steps = tuple(
        Conv1d(f"v{i}", f"v{i + 1}", np.ones((2, 2, 1), int), np.zeros(2, int), rescale=half) for i in range(length)
    )
    return Program(values, steps, "v0", (f"v{length}",))


def test_a_chain_needs_two_slots_however_long_it_is() -> None:
    assert len(set(plan_slots(chain(50)).values())) == 2
    assert NativeExecutable(chain(40)).memory_bytes(5000) - NativeExecutable(chain(4)).memory_bytes(5000) < 1000
