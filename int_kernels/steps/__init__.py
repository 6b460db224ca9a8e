"""The steps of a program: what each op needs, checked on its own (SPEC 4). `Program` checks how they fit together."""

from __future__ import annotations

from typing import TypeAlias

from int_kernels.steps._checks import MAX_CHANNELS, MAX_EXTENT, Clip
from int_kernels.steps.attention import Attention, Positions
from int_kernels.steps.convolutions import Conv1d, Conv2d
from int_kernels.steps.framewise import Argmax, LayerNorm, Mean
from int_kernels.steps.pointwise import ACTIVATIONS, Activation, Lookup, Multiply, Sum

Step: TypeAlias = (
    Conv1d | Conv2d | Sum | Multiply | Mean | Lookup | Activation | LayerNorm | Positions | Attention | Argmax
)

__all__ = [
    "ACTIVATIONS",
    "MAX_CHANNELS",
    "MAX_EXTENT",
    "Activation",
    "Argmax",
    "Attention",
    "Clip",
    "Conv1d",
    "Conv2d",
    "LayerNorm",
    "Lookup",
    "Mean",
    "Multiply",
    "Positions",
    "Step",
    "Sum",
]

OPS = {
    "conv1d": Conv1d,
    "sum": Sum,
    "argmax": Argmax,
    "conv2d": Conv2d,
    "multiply": Multiply,
    "mean": Mean,
    "lookup": Lookup,
    "activation": Activation,
    "layer_norm": LayerNorm,
    "positions": Positions,
    "attention": Attention,
}
for _name, _class in OPS.items():
    _class.name = _name
