"""Sigmoid, tanh, swish, gelu and GLU: by second-order polynomials on accumulators, or by exact tables of codes.

poly2   u = S_x x in 1/1024 (one rounding), then the polynomial kernel, then m / 2^r ~ (step of the kernel) / S_y
lut     y = table[x]; a GLU is table[b] in 1/32768 times a, rounded once
"""

from __future__ import annotations

import numpy as np

from int_kernels.int_type import INT16
from zeroq_asr.ir.types import Array, Attribute, Node
from zeroq_asr.passes.lowering.state import Lowering, Operand, clip_of
from zeroq_asr.passes.lowering.sums import emit_product, emit_sum
from zeroq_asr.quant.elementwise import lookup_table
from zeroq_asr.quant.fit_dyadic import fit_dyadic
from zeroq_asr.quant.qparams import GATE

_ONE = 1 << 10
"""1.0 of an activation's argument."""

_STEP = {"sigmoid": 2.0**-15, "tanh": 2.0**-15, "swish": 2.0**-25, "gelu": 2.0**-25}
"""What 1 stands for in the kernel's result before the last rounding. That of a GLU depends on its first factor."""

_GUARD_BITS = 7
"""The free factor of a GLU keeps this many bits below a code of its result; |a| may be 512 codes."""


def lower_activation(state: Lowering, node: Node) -> None:
    """Emit the activation `node` as `config.nonlinear` asks."""
    if state.config.nonlinear == "poly2":
        _lower_polynomial(state, node)
    elif node.op == "glu":
        _lower_glu_table(state, node)
    else:
        _lower_table(state, node)


def _lower_polynomial(state: Lowering, node: Node) -> None:
    name, params = node.output, state.code(node.output)
    channels = state.channels(name)
    operands = [state.operand(operand) for operand in node.inputs]
    steps = [operand.scales * _ONE for operand in operands]
    if node.op == "tanh":
        steps[0] = 2 * steps[0]  # tanh(x) = 2 sigmoid(2 x) - 1
    if node.op == "glu":
        guard = _GUARD_BITS if params.type.is_code else 0
        steps[0] = operands[0].scales / params.scales(channels) * 2.0**guard
        step = 2.0 ** -(15 + guard)
    else:
        step = _STEP[node.op] / state.qparams[name].scale
    arguments = [fit_dyadic(name, ratio) for ratio in steps]
    result = fit_dyadic(name, np.array([step]))
    attrs: dict[str, Attribute] = {
        "kind": node.op,
        "out_multiplier": int(result.multiplier[0]),
        "out_shift": int(result.shift[0]),
        "offset": params.offset,
        **clip_of(params, relu=node.op == "sigmoid"),
    }
    constants: dict[str, Array] = {
        "multiplier": np.stack([dyadic.multiplier for dyadic in arguments]),
        "shift": np.stack([dyadic.shift for dyadic in arguments]),
    }
    names = tuple(operand.name for operand in operands)
    state.emit("activation", names, name, channels, params.type, node.origin, attrs, constants)


def _lower_table(state: Lowering, node: Node) -> None:
    name, params = node.output, state.code(node.output)
    table = lookup_table(name, node.op, state.code(node.inputs[0]), params)
    state.emit("lookup", node.inputs, name, state.channels(name), params.type, node.origin, {}, {"table": table})


def _lower_glu_table(state: Lowering, node: Node) -> None:
    factor, gate = node.inputs
    name, channels = node.output, state.channels(node.output)
    table = lookup_table(name, "sigmoid", state.code(gate), GATE)
    sigma = Operand(f"{name}.gate", GATE.scales(channels), [INT16.hi] * channels)
    state.emit("lookup", (gate,), sigma.name, channels, INT16, node.origin, {}, {"table": table})
    product = emit_product(state, state.operand(factor), sigma, f"{name}.product", node.origin)
    emit_sum(state, [product], name, node.origin, relu=False)
