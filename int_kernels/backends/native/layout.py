"""Programs as the structs of native/core/zq.h, with the arrays they point into.

The parameter structs of the operations are built from the same descriptions as native/core/op_table.h.
"""

from __future__ import annotations

import ctypes
from ctypes import POINTER, Structure, Union, c_int8, c_int32, c_int64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.lengths import LENGTH_KINDS
from int_kernels.memory_plan import plan_slots
from int_kernels.ops import PARAM_STRUCTS, Conv1d, Conv2d, Step
from int_kernels.ops.base import NativeFields
from int_kernels.ops.native_struct import STORAGES, CField, NativeStruct
from int_kernels.program import Program

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


def _c_type(field: CField) -> Any:
    """The ctypes type of "int32_t" or "const int8_t *"."""
    element = getattr(ctypes, "c_" + field.c_type.removeprefix("const ").removesuffix(" *").removesuffix("_t"))
    return POINTER(element) if field.is_pointer else element


def _params_struct(struct: NativeStruct) -> type[Structure]:
    fields = [(field.name, _c_type(field)) for field in struct.fields]
    return type(struct.c_type, (Structure,), {"_fields_": fields})


class ParamsUnion(Union):
    """zq_op_params."""

    _fields_ = [(struct.name, _params_struct(struct)) for struct in PARAM_STRUCTS]


class StepStruct(Structure):
    """zq_step."""

    _fields_ = [
        ("x", POINTER(c_int32)),
        ("multiplier", POINTER(c_int32)),
        ("shift", POINTER(c_int8)),
        ("packed", c_void_p),
        ("op", c_int32),
        ("y", c_int32),
        ("inputs", c_int32),
        ("clip_lo", c_int32),
        ("clip_hi", c_int32),
        ("params", ParamsUnion),
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
            struct.offset, struct.stride = length.offset, length.stride
            struct.length = LENGTH_KINDS.index(length.kind)
            struct.channels, struct.storage = value.channels, STORAGES.index(value.type.storage.name)
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
        self.program.steps[index].params.conv.weight = None

    def _step(self, step: Step, program: Program) -> StepStruct:
        x, y = program.spec(step.inputs[0]), program.spec(step.y)
        struct = StepStruct(op=step.code, y=self._index[y.name], inputs=len(step.inputs))
        struct.clip_lo, struct.clip_hi = getattr(step, "clip", None) or (y.type.lo, y.type.hi)
        shared: NativeFields = {"x": np.array([self._index[name] for name in step.inputs], np.int32)}
        self._fill(struct, shared | step.native_rescale(y))
        fields = step.native_fields(x, y)
        if isinstance(step, Conv1d | Conv2d):
            self._weights[step.y] = weight = np.asarray(fields.pop("weight"))  # raises KernelError for released ones
            struct.params.conv.weight = weight.ctypes.data_as(POINTER(c_int8))
        if step.native_struct is not None:
            self._fill(getattr(struct.params, step.native_struct.name), fields)
        return struct

    def _fill(self, struct: Structure, fields: NativeFields) -> None:
        """Set fields of `struct`; arrays are kept, and pointed to."""
        types: dict[str, Any] = {name: kind for name, kind, *_ in struct._fields_}
        for name, value in fields.items():
            if isinstance(value, np.ndarray):
                self._arrays.append(value)
                setattr(struct, name, value.ctypes.data_as(types[name]))
            else:
                setattr(struct, name, value)
