"""Relative attention and the positions it looks up.

score in octaves = log2(e) / sqrt(d_k) (S_qu S_k A + S_qv S_p B)        A, B the two int32 products, one rounding
"""

from __future__ import annotations

import math

import numpy as np

from int_kernels.int_type import INT8
from zeroq_asr.ir.types import Array, Attribute, Node
from zeroq_asr.passes.lowering.state import Lowering, clip_of
from zeroq_asr.quant.fit_dyadic import fit_affine, fit_dyadic
from zeroq_asr.quant.sinusoids import sinusoid_tables

_SCORE_ONE = 1 << 16
"""One octave of a score."""

_VALUE_ONE = 1 << 15
"""The kernel's weighted mean of v is in 1/32768 of a code."""


def lower_positions(state: Lowering, node: Node) -> None:
    """Emit the sinusoids of relative positions, in 1/127."""
    channels = state.channels(node.output)
    fine, coarse = sinusoid_tables(channels, node.integer("max_frames"))
    constants: dict[str, Array] = {"fine": fine, "coarse": coarse}
    state.emit("positions", node.inputs, node.output, channels, INT8, node.origin, {}, constants)


def lower_attention(state: Lowering, node: Node) -> None:
    """Emit one attention with its scores in 1/65536 octaves."""
    name, params = node.output, state.code(node.output)
    channels, heads = state.channels(name), node.integer("heads")
    qu, qv, k, v, p = (state.operand(operand) for operand in node.inputs)
    octave = _SCORE_ONE * math.log2(math.e) / math.sqrt(channels // heads)
    content = octave * state.one_scale(qu.name, node) * state.one_scale(k.name, node)
    position = octave * state.one_scale(qv.name, node) * state.one_scale(p.name, node)
    per_head = channels // heads
    reach = [[per_head * a.reach[0] * b.reach[0]] for a, b in ((qu, k), (qv, p))]
    factors, shift, _ = fit_affine(name, np.array([[content], [position]]), np.zeros(1), reach)
    dyadic = fit_dyadic(name, v.scales / (_VALUE_ONE * params.scales(channels)))
    constants: dict[str, Array] = {
        "content": np.full(heads, factors[0, 0], np.int32),
        "position": np.full(heads, factors[1, 0], np.int32),
        "multiplier": dyadic.multiplier,
        "shift": dyadic.shift,
    }
    attrs: dict[str, Attribute] = {"heads": heads, "score_shift": int(shift[0]), **clip_of(params)}
    state.emit("attention", node.inputs, name, channels, params.type, node.origin, attrs, constants)
