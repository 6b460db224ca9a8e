"""Bias correction: rounded weights must not shift what a layer says on average (Nagel et al. 2019, DFQ, eq. 17).

Given:
    y = conv1d(x, w, b) of a prepared graph, the integers that stand for w, and the mean of x
Result:
    y = conv1d(x, w, b'),      b'_o = b_o + sum_{c,k} (w - w~)[o, c, k] E[x_c]

w~: what the integer weights stand for. E[x_c]: mean of the float model's x over utterances and frames (and the rows of
a feature map); that padding makes the mean at the edges smaller is left out. So E[y] is the float model's again where x
is. The head is corrected too, and with it the CTC blank. A layer that reads positions only is left alone: a softmax
does not notice what is added to all of them.

Every layer is corrected for its own weights alone. Corrections for what the layers before it lose as well, measured by
running the rounded model, follow the synthetic data instead of speech.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.analyses.sensitivity import round_weights
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ops.verify import verify
from zeroq_asr.passes.rebuild import folded_constant, rebuild
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.weights import RoundedWeights

ESTABLISHES = "biases-corrected"

Reals = npt.NDArray[np.float64]


def correct_biases(
    graph: Graph,
    qparams: Mapping[str, QuantParams],
    config: QuantizeConfig,
    means: Mapping[str, Reals],
    rounded: Mapping[str, RoundedWeights] | None = None,
) -> Graph:
    """Return `graph` with other biases; a convolution without one gets one. All names of values stay.

    means: E[x], float64 [C] by name, of everything that a convolution reads (`measure_means`, `analytic_means`).
    rounded: weights of convolutions, by the values they make, that are rounded already (`round_with_gptq`).
    Raises GraphError (not finite).
    """
    layers = _layers(graph)
    weights = round_weights(graph, qparams, config, rounded)
    constants: dict[str, Array] = dict(graph.constants)
    corrected: dict[str, Node] = {}
    for node in layers:
        lost = graph.constants[node.inputs[1]].astype(np.float64) - weights[node.inputs[1]]
        corrected[node.output] = _shifted(node, _shift(node, lost, means[node.inputs[0]]), constants)
    nodes = [corrected.get(node.output, node) for node in graph.nodes]
    result = rebuild(graph, nodes, constants, ESTABLISHES)
    verify(result)
    return result


def _layers(graph: Graph) -> list[Node]:
    positions = {node.output for node in graph.nodes if node.op == "positions"}
    return [node for node in graph.nodes if node.op in CONVOLUTIONS and node.inputs[0] not in positions]


def measure_means(graph: Graph, batches: Iterable[npt.NDArray[np.float32]], device: str = "cpu") -> dict[str, Reals]:
    """E[x] of every value that a layer to be corrected reads, float64 [C]: each frame of each utterance counts once.

    batches: each float32 [B, n_mels, T] without padding; one run of the float executor for each. Raises
    QuantizationError (no data).
    """
    from zeroq_asr.runtime.float_executor import FloatExecutor

    names = {node.inputs[0] for node in _layers(graph)}
    executor = FloatExecutor(graph, device)
    sums = {name: np.zeros(graph.values[name].channels) for name in names}
    frames = dict.fromkeys(names, 0)

    def look(name: str, value: Any) -> Any:
        if name in sums:
            sums[name] += value.detach().cpu().numpy().sum(axis=(0, 2), dtype=np.float64)
            frames[name] += value.shape[0] * value.shape[2]
        return value

    for batch in batches:
        executor.run(batch, edit=look)
    if not all(frames.values()):
        raise QuantizationError("bias correction: expected at least one batch of data, got none")
    return {name: sums[name] / frames[name] for name in names}


def _shift(node: Node, lost: Reals, mean: Reals) -> Reals:
    """sum_{c,k} lost[o, c, k] E[x_c], float64 [C_out]."""
    groups = node.integer("groups")
    taps = lost.reshape(*lost.shape[:2], -1).sum(axis=2)
    maps = mean.reshape(groups, lost.shape[1], -1).mean(axis=2)  # (rows of a feature map)
    shift: Reals = (taps * maps.repeat(len(taps) // groups, axis=0)).sum(axis=1)
    return shift


def _shifted(node: Node, shift: Reals, constants: dict[str, Array]) -> Node:
    bias = constants[node.inputs[2]].astype(np.float64) if len(node.inputs) > 2 else 0.0
    name = f"{node.output}.corrected.bias"
    constants[name] = folded_constant(node.output, bias + shift)
    return Node(node.op, (*node.inputs[:2], name), node.output, node.attrs, node.origin)
