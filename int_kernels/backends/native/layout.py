"""Programs as the structs of native/zq.h, with the arrays they point into."""

from __future__ import annotations

from ctypes import POINTER, Structure, c_int8, c_int16, c_int32, c_int64, c_void_p
from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.dyadic import Dyadic
from int_kernels.memory_plan import plan_slots
from int_kernels.program import Program
from int_kernels.steps import (
    Activation,
    Attention,
    Conv1d,
    Conv2d,
    LayerNorm,
    Lookup,
    Mean,
    Positions,
    Step,
    Sum,
)

OPS = {
    "Conv1d": 0,
    "Sum": 1,
    "Argmax": 2,
    "Conv2d": 3,
    "Multiply": 4,
    "Mean": 5,
    "Lookup": 6,
    "Activation": 7,
    "LayerNorm": 8,
    "Positions": 9,
    "Attention": 10,
}
FUNCTIONS = {"sigmoid": 0, "tanh": 1, "swish": 2, "gelu": 3, "glu": 4}
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
        y = program.spec(step.y)
        struct = StepStruct(op=OPS[type(step).__name__], y=self._index[y.name], inputs=len(step.inputs))
        struct.clip_lo, struct.clip_hi = getattr(step, "clip", None) or (y.type.lo, y.type.hi)
        struct.rows = struct.kernel_rows = struct.stride_rows = struct.dilation = struct.groups = 1
        self._point(struct, x=np.array([self._index[x] for x in step.inputs], np.int32))
        if isinstance(step, Conv1d | Conv2d):
            self._convolution(struct, step)
        elif isinstance(step, Sum):
            self._point(struct, multiplier=step.multipliers, shift=step.shift)
            if step.bias is not None:
                self._point(struct, wide_bias=step.bias)
        elif isinstance(step, Mean):
            self._ratios(struct, (step.rescale,), y.channels)
        elif isinstance(step, Lookup):
            struct.offset = -program.spec(step.x).type.lo
            self._point(struct, table=step.table)
        elif isinstance(step, Activation):
            struct.function, struct.offset = FUNCTIONS[step.kind], step.offset
            struct.factor, struct.factor_shift = step.multiplier, step.shift
            self._ratios(struct, step.rescales, y.channels)
        elif isinstance(step, LayerNorm):
            struct.epsilon = step.epsilon
            self._point(struct, multiplier=step.multipliers, shift=step.shift, wide_bias=step.bias)
        elif isinstance(step, Positions):
            struct.blocks = step.coarse.shape[2]
            self._point(struct, table=np.concatenate([step.fine.ravel(), step.coarse.ravel()]))
        elif isinstance(step, Attention):
            struct.groups, struct.factor_shift = step.heads, step.shift
            self._point(struct, bias=np.concatenate([step.content, step.position]))
            self._ratios(struct, (step.rescale,), y.channels)
        return struct

    def _convolution(self, struct: StepStruct, step: Conv1d | Conv2d) -> None:
        struct.groups = step.groups
        if isinstance(step, Conv1d):
            struct.kernel, struct.stride, struct.dilation = step.kernel, step.stride, step.dilation
            struct.padding = step.padding
        else:
            struct.rows, (struct.kernel_rows, struct.kernel) = step.height, step.kernel
            struct.stride_rows, struct.stride = step.stride
            struct.padding_rows, struct.padding = step.padding
        self._weights[step.y] = weight = np.asarray(step.weight)  # refuses what another executable has used up
        struct.weight = weight.ctypes.data_as(POINTER(c_int8))
        self._point(struct, bias=step.bias)
        if step.rescale is not None:
            self._ratios(struct, (step.rescale,), len(step.bias))

    def _ratios(self, struct: StepStruct, ratios: tuple[Dyadic, ...], channels: int) -> None:
        """multiplier and shift [operands, channels]."""
        if len(ratios) == 1 and ratios[0].channels == channels:
            self._point(struct, multiplier=ratios[0].multiplier, shift=ratios[0].shift)
            return
        each = [ratio.per_channel(channels) for ratio in ratios]
        self._point(
            struct,
            multiplier=np.concatenate([ratio.multiplier for ratio in each]),
            shift=np.concatenate([ratio.shift for ratio in each]),
        )

    def _point(self, struct: StepStruct, **arrays: NDArray[Any]) -> None:
        elements = dict(POINTERS)
        for name, array in arrays.items():
            self._arrays.append(array)
            setattr(struct, name, array.ctypes.data_as(POINTER(elements[name])))
