"""What looks at a whole frame or at all frames: LayerNorm and the mean over time."""

from __future__ import annotations

import math

import numpy as np

from zeroq_asr.ir.types import Array, Attribute, Node
from zeroq_asr.passes.lowering.state import Lowering, clip_of
from zeroq_asr.quant.elementwise import LAYER_NORM_ONE, epsilon_code
from zeroq_asr.quant.fit_dyadic import fit_affine, fit_dyadic


def lower_layer_norm(state: Lowering, node: Node) -> None:
    """Emit y = (gamma z + beta) / S_y: z in 1/16384 does not depend on the scale of x, but for epsilon's code."""
    name, params = node.output, state.code(node.output)
    channels = state.channels(name)
    affine = [state.graph.constants[constant].astype(np.float64) for constant in node.inputs[1:]]
    gamma = affine[0] if affine else np.ones(channels)
    beta = affine[1] if len(affine) == 2 else np.zeros(channels)
    scales = params.scales(channels)
    reach = [LAYER_NORM_ONE * (math.isqrt(channels - 1) + 1)] * channels  # 2^14 ceil(sqrt(d))
    ratios = (gamma / (LAYER_NORM_ONE * scales))[None]
    multipliers, shift, offset = fit_affine(name, ratios, beta / scales + params.offset, [reach])
    eps = node.attrs["eps"]
    assert isinstance(eps, float)
    epsilon = epsilon_code(eps, channels, state.one_scale(node.inputs[0], node))
    attrs: dict[str, Attribute] = {"epsilon": epsilon, **clip_of(params)}
    constants: dict[str, Array] = {"multipliers": multipliers[0], "shift": shift, "offset": offset}
    state.emit("layer_norm", node.inputs[:1], name, channels, params.type, node.origin, attrs, constants)


def lower_mean(state: Lowering, node: Node) -> None:
    """Emit the mean over time times S_x / S_y."""
    name, params = node.output, state.code(node.output)
    x = state.operand(node.inputs[0])
    dyadic = fit_dyadic(name, x.scales / params.scales(len(x.scales)))
    constants: dict[str, Array] = {"multiplier": dyadic.multiplier, "shift": dyadic.shift}
    attrs = clip_of(params)
    state.emit("mean", (x.name,), name, len(x.scales), params.type, node.origin, attrs, constants)
