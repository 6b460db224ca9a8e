from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from support.random_programs import programs

from int_kernels import INT8, INT32, Conv1d, Dyadic, Mean, Multiply, Positions, Program, Step, Sum, ValueSpec
from int_kernels.backends.native.executable import NativeExecutable
from int_kernels.memory_plan import plan_slots


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


def test_gates_share_slots_among_themselves_only() -> None:
    """Values of length once never keep a slot of frames busy, however many there are."""
    half = Dyadic(np.array([1 << 30]), np.array([31]))
    values, steps = [ValueSpec("v0", 2, INT8)], list[Step]()
    for i in range(20):
        values += [ValueSpec(f"g{i}", 2, INT8), ValueSpec(f"p{i}", 2, INT32), ValueSpec(f"v{i + 1}", 2, INT8)]
        steps += [
            Mean(f"v{i}", f"g{i}", half),
            Multiply((f"v{i}", f"g{i}"), f"p{i}"),
            Sum((f"p{i}",), f"v{i + 1}", np.ones((1, 2), int), np.full(2, 8)),
        ]
    program = Program(tuple(values), tuple(steps), "v0", ("v20",))
    slots = plan_slots(program)
    gates = {slot for name, slot in slots.items() if name.startswith("g")}
    assert len(gates) == 1 and not gates & {slot for name, slot in slots.items() if not name.startswith("g")}
    assert len(set(slots.values())) == 3


def test_the_plan_is_the_same_for_every_length_and_repeat() -> None:
    """It is made from the program alone: kinds and strides decide, no length does."""
    tables = np.zeros((2, 1, 64), int)
    values = (ValueSpec("x", 2, INT8), ValueSpec("s", 2, INT8), ValueSpec("a", 2, INT8), ValueSpec("y", 2, INT8))
    steps = (
        Positions("x", "s", tables, tables),
        Sum(("x",), "a", np.ones((1, 2), int), np.ones(2, int)),
        Sum(("a",), "y", np.ones((1, 2), int), np.ones(2, int)),
    )
    assert plan_slots(Program(values, steps, "x", ("y",))) == {"s": 0, "a": 0}


def test_values_of_other_sizes_share_no_slot() -> None:
    """Accumulators between codes, as residual blocks have them; a value of twice the channels takes what is there."""
    values, steps = [ValueSpec("v0", 2, INT8)], list[Step]()
    for i in range(10):
        channels = 2 if i < 5 else 4
        values += [ValueSpec(f"a{i}", channels, INT32), ValueSpec(f"v{i + 1}", channels, INT8)]
        weight = np.ones((channels, values[-3].channels, 1), int)
        steps += [
            Conv1d(f"v{i}", f"a{i}", weight, np.zeros(channels, int)),
            Sum((f"a{i}",), f"v{i + 1}", np.ones((1, channels), int), np.full(channels, 8)),
        ]
    slots = plan_slots(Program(tuple(values), tuple(steps), "v0", ("v10",)))
    codes = {slot for name, slot in slots.items() if name.startswith("v")}
    accumulators = {slot for name, slot in slots.items() if name.startswith("a")}
    assert len(codes) == 1 and len(accumulators) == 1 and codes != accumulators
