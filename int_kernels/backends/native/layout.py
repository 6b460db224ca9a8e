"""Programs as the structs of native/zq.h, with the arrays they point into."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_int8, c_int16, c_int32, c_int64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.memory_plan import plan_slots
from int_kernels.ops import Conv1d, Conv2d, Step
from int_kernels.program import Program

STORAGES = {"int8": 0, "uint8": 1, "int32": 2, "int16": 3}
LENGTHS = {"frames": 0, "positions": 1, "once": 2}
INPUT_PLACE, FIRST_OUTPUT_PLACE = -1, -2


class ValueStruct(Structure):
    """zq_value."""

    _fields_ = [
        ("offset", c_int64),
        ("stride", c_int64),
        ("channels", c_int32),
        ("storage", c_int32),
        ("place", c_int32),
        ("length", c_int32),
    ]


POINTERS = [
    ("weight", c_int8),
    ("bias", c_int32),
    ("wide_bias", c_int64),
    ("multiplier", c_int32),
    ("shift", c_int8),
    ("table", c_int16),
    ("x", c_int32),
]
NUMBERS = (
    "op y inputs kernel stride dilation padding groups rows kernel_rows stride_rows padding_rows function factor "
    "factor_shift offset blocks clip_lo clip_hi"
)


class StepStruct(Structure):
    """zq_step."""

    _fields_ = [
        *((name, POINTER(element)) for name, element in POINTERS),
        ("packed", c_void_p),
        ("epsilon", c_int64),
        *((name, c_int32) for name in NUMBERS.split()),
    ]


class ProgramStruct(Structure):
    """zq_program."""

    _fields_ = [
        ("values", POINTER(ValueStruct)),
        ("steps", POINTER(StepStruct)),
        ("values_count", c_int32),
        ("steps_count", c_int32),
        ("slots_count", c_int32),
        ("outputs_count", c_int32),
    ]


class Layout:
    """The structs for one program, and the arrays they point into."""

    def __init__(self, program: Program) -> None:
        self._arrays: list[NDArray[Any]] = []  # kept alive as long as the structs
        self._weights: dict[str, NDArray[Any]] = {}  # by the step's y; these too
        self._index = {value.name: i for i, value in enumerate(program.values)}
        slots = plan_slots(program)
        places = {name: FIRST_OUTPUT_PLACE - i for i, name in enumerate(program.outputs)}
        places |= {program.input: INPUT_PLACE, **slots}
        values = (ValueStruct * len(program.values))()
        for struct, value in zip(values, program.values, strict=True):
            length = program.lengths[value.name]
            struct.offset, struct.stride, struct.length = length.offset, length.stride, LENGTHS[length.kind]
            struct.channels, struct.storage = value.channels, STORAGES[value.type.storage.name]
            struct.place = places[value.name]
        steps = (StepStruct * len(program.steps))(*(self._step(step, program) for step in program.steps))
        slots_count = max(slots.values(), default=-1) + 1
        self.program = ProgramStruct(values, steps, len(values), len(steps), slots_count, len(program.outputs))

    @property
    def arrays(self) -> list[NDArray[Any]]:
        """All that the structs point into."""
        return [*self._arrays, *self._weights.values()]

    @property
    def nbytes(self) -> int:
        """Bytes of `arrays`; what two steps share counts once."""
        return sum({array.ctypes.data: array.nbytes for array in self.arrays}.values())

    def drop_weight(self, index: int, step: Step) -> None:
        """Forget the weights of `step`, the program's step `index`, which is packed."""
        del self._weights[step.y]
        self.program.steps[index].weight = None

    def _step(self, step: Step, program: Program) -> StepStruct:
        x, y = program.spec(step.inputs[0]), program.spec(step.y)
        struct = StepStruct(op=step.code, y=self._index[y.name], inputs=len(step.inputs))
        struct.clip_lo, struct.clip_hi = getattr(step, "clip", None) or (y.type.lo, y.type.hi)
        struct.rows = struct.kernel_rows = struct.stride_rows = struct.dilation = struct.groups = 1
        self._point(struct, x=np.array([self._index[name] for name in step.inputs], np.int32))
        for name, value in step.native_fields(x, y).items():
            if isinstance(step, Conv1d | Conv2d) and name == "weight":
                self._weights[step.y] = weight = np.asarray(value)  # refuses what another executable has released
                struct.weight = weight.ctypes.data_as(POINTER(c_int8))
            elif isinstance(value, np.ndarray):
                self._point(struct, **{name: value})
            else:
                setattr(struct, name, value)
        return struct

    def _point(self, struct: StepStruct, **arrays: NDArray[Any]) -> None:
        elements = dict(POINTERS)
        for name, array in arrays.items():
            self._arrays.append(array)
            setattr(struct, name, array.ctypes.data_as(POINTER(elements[name])))
