"""Bias correction: rounded weights must not shift what a layer says on average (after Nagel et al. 2019, DFQ, eq. 17).

Given:
    y = conv1d(x, w, b) of a prepared graph, the codes of its stored values, and data
Result:
    y = conv1d(x, w, b'),      b'_c = b_c + E[y_c] - E[y~_c]

y: the float graph's value; y~: the same with weights rounded and stored values replaced by what their codes stand
for, here and in all layers before, where biases are corrected already. E: mean over utterances and frames (and the rows
of a feature map), weighted by their number from batch to batch. The head is corrected too, and with it the CTC blank. A
layer that reads positions only is left alone: its mean depends on the length, and a softmax does not notice it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.analyses.code_values import CONVOLUTIONS
from zeroq_asr.analyses.sensitivity import round_weights
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir.types import Array, Graph, Node
from zeroq_asr.ir.verify import verify
from zeroq_asr.passes.rebuild import folded_constant, rebuild
from zeroq_asr.quant.qparams import QuantParams

ESTABLISHES = "biases-corrected"

Reals = npt.NDArray[np.float64]


def correct_biases(
    graph: Graph,
    qparams: Mapping[str, QuantParams],
    config: QuantizeConfig,
    batches: Iterable[npt.NDArray[np.float32]],
    device: str = "cpu",
) -> Graph:
    """Return `graph` with other biases; a convolution without one gets one. All names of values stay.

    batches: each float32 [B, n_mels, T] without padding; two runs of the float executor for each. Raises
    QuantizationError (no data), GraphError (not finite).
    """
    shifts = _measure_shifts(graph, qparams, config, batches, device)
    constants: dict[str, Array] = dict(graph.constants)
    nodes = [_shifted(node, shifts[node.output], constants) if node.output in shifts else node for node in graph.nodes]
    result = rebuild(graph, nodes, constants, ESTABLISHES)
    verify(result)
    return result


def _measure_shifts(
    graph: Graph,
    qparams: Mapping[str, QuantParams],
    config: QuantizeConfig,
    batches: Iterable[npt.NDArray[np.float32]],
    device: str,
) -> dict[str, Reals]:
    """E[y] - E[y~] of every convolution, float64 [C_out]; each batch is corrected by its own as it runs."""
    from zeroq_asr.runtime.float_executor import FloatExecutor

    channels = _corrected_layers(graph)
    rounded = {**graph.constants, **round_weights(graph, qparams, config)}
    exact = FloatExecutor(graph, device)
    coarse = FloatExecutor(graph.with_nodes(graph.nodes, graph.values, rounded), device)
    totals = {name: np.zeros(count) for name, count in channels.items()}
    means: dict[str, Reals] = {}
    weight, seen = 0, 0

    def look(name: str, value: Any) -> Any:
        if name in channels:
            means[name] = _mean(value, channels[name])
        return value

    def correct(name: str, value: Any) -> Any:
        if name in channels:
            shift = means[name] - _mean(value, channels[name])
            totals[name] += weight * shift
            value = value + value.new_tensor(shift.repeat(value.shape[1] // len(shift)))[:, None]
        if name in qparams:
            codes = qparams[name]
            value = value.new_tensor(codes.real(codes.quantize(value.detach().cpu().numpy())))
        return value

    for batch in batches:
        weight = batch.shape[0] * batch.shape[2]
        seen += weight
        exact.run(batch, edit=look)
        coarse.run(batch, edit=correct)
    if seen == 0:
        raise QuantizationError("bias correction: needed at least one batch of data, came none")
    return {name: total / seen for name, total in totals.items()}


def _corrected_layers(graph: Graph) -> dict[str, int]:
    """The convolutions that are corrected, with their output channels (maps)."""
    positions = {node.output for node in graph.nodes if node.op == "positions"}
    return {
        node.output: len(graph.constants[node.inputs[1]])
        for node in graph.nodes
        if node.op in CONVOLUTIONS and node.inputs[0] not in positions
    }


def _mean(value: Any, channels: int) -> Reals:
    """Mean of [B, channels * rows, T] over everything but the channels."""
    array = value.detach().cpu().numpy().reshape(value.shape[0], channels, -1)
    mean: Reals = array.mean(axis=(0, 2), dtype=np.float64)
    return mean


def _shifted(node: Node, shift: Reals, constants: dict[str, Array]) -> Node:
    bias = constants[node.inputs[2]].astype(np.float64) if len(node.inputs) > 2 else 0.0
    name = f"{node.output}.corrected.bias"
    constants[name] = folded_constant(node.output, bias + shift)
    return Node(node.op, (*node.inputs[:2], name), node.output, node.attrs, node.origin)
