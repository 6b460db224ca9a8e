"""Additions, products, and everything else that rounds integers of known scales to a stored value.

y = clip(floor((sum_i m_i x_i + b) / 2^r + 1/2), lo, hi),      m_i / 2^r ~ S_i / S_y       one rounding for all
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from zeroq_asr.ir.types import Array, Node
from zeroq_asr.passes.lowering.convolutions import lower_accumulator
from zeroq_asr.passes.lowering.state import Lowering, Operand, clip_of
from zeroq_asr.quant.fit_dyadic import fit_affine, fit_common_shift


def lower_add(state: Lowering, node: Node, name: str, relu: bool) -> None:
    """Emit the sum of all branches of `node`, those of additions inside it included, as `name`."""
    emit_sum(state, _branches(state, node), name, node.origin, relu)


def lower_relu(state: Lowering, node: Node) -> None:
    """Emit the ReLU of a value that others read too."""
    emit_sum(state, [state.operand(node.inputs[0])], node.output, node.origin, relu=True)


def lower_add_bias(state: Lowering, node: Node) -> None:
    """Emit x + bias as one rescale: the bias enters before the rounding, 64 bits wide."""
    name, params = node.output, state.code(node.output)
    x = state.operand(node.inputs[0])
    scales = params.scales(state.channels(name))
    bias = state.graph.constants[node.inputs[1]].astype(np.float64)
    multipliers, shift, offset = fit_affine(name, (x.scales / scales)[None], bias / scales, [x.reach])
    constants: dict[str, Array] = {"multipliers": multipliers, "shift": shift, "offset": offset}
    attrs = clip_of(params)
    state.emit("rescale", (x.name,), name, len(scales), params.type, node.origin, attrs, constants)


def lower_product(state: Lowering, node: Node, name: str) -> Operand:
    """Emit the exact int32 product of the two operands of `node` as `name` and return it."""
    a, b = (state.operand(operand) for operand in node.inputs)
    return emit_product(state, a, b, name, node.origin)


def emit_product(state: Lowering, a: Operand, b: Operand, name: str, origin: str) -> Operand:
    """Emit a * b in int32 as `name` and return it."""
    reach = [x * y for x, y in zip(a.reach, b.reach, strict=True)]
    product = Operand(name, a.scales * b.scales, reach)
    return state.emit_accumulator("multiply", (a.name, b.name), product, origin, {}, {})


def emit_sum(state: Lowering, branches: Sequence[Operand], name: str, origin: str, relu: bool) -> None:
    """Emit the stored value `name` = sum of `branches`, from 0 on if `relu`."""
    params = state.code(name)
    scales = params.scales(state.channels(name))
    ratios = np.stack([branch.scales / scales for branch in branches])
    multipliers, shift = fit_common_shift(name, ratios, [branch.reach for branch in branches])
    constants: dict[str, Array] = {"multipliers": multipliers, "shift": shift}
    operands = tuple(branch.name for branch in branches)
    state.emit("sum", operands, name, len(scales), params.type, origin, clip_of(params, relu), constants)


def _branches(state: Lowering, add: Node) -> list[Operand]:
    """The operands of an addition; an addition that only this one reads is opened, a convolution emitted."""
    branches = []
    for name in add.inputs:
        node = state.producers.get(name)
        if node is not None and state.roles[name] == "inner":
            branches += _branches(state, node) if node.op == "add" else [lower_accumulator(state, node, name)]
        else:
            branches.append(state.operand(name))
    return branches
