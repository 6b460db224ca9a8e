"""One proof per op: its values fit together, and none of its accumulators can overflow (SPEC 4, 5, 9)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from int_kernels.bounds import Bounds
from int_kernels.lengths import Length
from int_kernels.proofs._known import Known, type_range
from int_kernels.proofs.attention import prove_attention, prove_positions
from int_kernels.proofs.convolutions import prove_conv1d, prove_conv2d
from int_kernels.proofs.framewise import prove_argmax, prove_layer_norm, prove_mean
from int_kernels.proofs.pointwise import prove_activation, prove_lookup, prove_multiply, prove_sum
from int_kernels.steps import (
    Activation,
    Argmax,
    Attention,
    Conv1d,
    Conv2d,
    LayerNorm,
    Lookup,
    Mean,
    Multiply,
    Positions,
    Step,
    Sum,
)

_PROOFS: dict[type[Any], Callable[[Any, Known], tuple[Length, Bounds]]] = {
    Conv1d: prove_conv1d,
    Conv2d: prove_conv2d,
    Sum: prove_sum,
    Multiply: prove_multiply,
    Mean: prove_mean,
    Lookup: prove_lookup,
    Activation: prove_activation,
    LayerNorm: prove_layer_norm,
    Positions: prove_positions,
    Attention: prove_attention,
    Argmax: prove_argmax,
}


def prove_step(step: Step, known: Known) -> None:
    """Enter length and range of the step's result into `known`. Raises KernelError, ShapeError, RangeError."""
    known.lengths[step.y], known.ranges[step.y] = _PROOFS[type(step)](step, known)


__all__ = ["Known", "prove_step", "type_range"]
