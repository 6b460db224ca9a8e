"""The operations of integer programs, one file each (SPEC 4)."""

from collections.abc import Mapping
from types import MappingProxyType

from int_kernels.ops.activation import ACTIVATIONS, Activation
from int_kernels.ops.argmax import Argmax
from int_kernels.ops.attention import Attention
from int_kernels.ops.base import Step
from int_kernels.ops.conv1d import Conv1d
from int_kernels.ops.conv2d import Conv2d
from int_kernels.ops.layer_norm import LayerNorm
from int_kernels.ops.leaky_relu import LeakyRelu
from int_kernels.ops.lookup import Lookup
from int_kernels.ops.max_pool import MaxPool
from int_kernels.ops.mean import Mean
from int_kernels.ops.multiply import Multiply
from int_kernels.ops.native_struct import NativeStruct
from int_kernels.ops.positions import Positions
from int_kernels.ops.sum import Sum

OPS: Mapping[str, type[Step]] = MappingProxyType(
    {
        op.name: op
        for op in (
            Conv1d,
            Sum,
            Argmax,
            Conv2d,
            Multiply,
            Mean,
            Lookup,
            Activation,
            LayerNorm,
            Positions,
            Attention,
            LeakyRelu,
            MaxPool,
        )
    }
)
"""Name of an operation -> the class of its steps, in the order of their codes."""

PARAM_STRUCTS: tuple[NativeStruct, ...] = tuple(
    dict.fromkeys(op.native_struct for op in OPS.values() if op.native_struct is not None)
)
"""The members of the union `zq_op_params`, each once."""

__all__ = [
    "ACTIVATIONS",
    "OPS",
    "PARAM_STRUCTS",
    "Activation",
    "Argmax",
    "Attention",
    "Conv1d",
    "Conv2d",
    "LayerNorm",
    "LeakyRelu",
    "Lookup",
    "MaxPool",
    "Mean",
    "Multiply",
    "Positions",
    "Step",
    "Sum",
]
