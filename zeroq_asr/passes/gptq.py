"""Round the weights of every convolution by what they multiply (`quant.gptq`), on calibration data.

Given:
    y = conv1d(x, w, b) of a prepared graph, and data
Result:
    y -> codes q and scales S of w that move y least on the data

H = E[x x^T] is that of the float model: what a rounded model would feed the layer follows the synthetic data instead of
speech (as with bias correction). With bias correction to come, H is the covariance: it makes up for what the mean
loses. Every convolution of at most GPTQ_MAX_BITS bits is rounded, linear layers and feature maps too; beyond, rounding
costs next to nothing, and the nearest code will do.

Memory: the autocorrelations of as many layers as fit into MOMENT_BYTES at a time, each such group with a run of its
own over the data, and one layer's H of at most MOST_COLUMNS columns.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.config import GPTQ_MAX_BITS, QuantizeConfig
from zeroq_asr.errors import QuantizationError
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.quant.gptq import gptq_round
from zeroq_asr.quant.input_second_moments import Moments, Window
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.weights import FloatConv, RoundedWeights, weight_scales

MOMENT_BYTES = 1 << 30
MOST_COLUMNS = 2048
"""Taps of one output channel that are optimised together; a layer with more is cut into blocks of input channels."""

Place = tuple[str, Window]
"""A value and how it is read: layers that share both share their moments."""


def round_with_gptq(
    graph: Graph,
    qparams: Mapping[str, QuantParams],
    config: QuantizeConfig,
    batches: Sequence[npt.NDArray[np.float32]],
    device: str = "cpu",
) -> dict[str, RoundedWeights]:
    """Return the rounded weights of convolutions, by the names of the values they make.

    batches: each float32 [B, n_mels, T] without padding. Raises QuantizationError (no data, numbers not finite).
    """
    if not batches:
        raise QuantizationError("gptq: expected at least one batch of data, got none")
    readers: dict[Place, list[Node]] = {}
    for node in graph.nodes:
        if node.op in CONVOLUTIONS and config.bits_of(node.output) <= GPTQ_MAX_BITS:
            readers.setdefault((node.inputs[0], _window(graph, node)), []).append(node)
    result = {}
    for places in _groups(list(readers)):
        found = _measure(graph, places, "bias-correction" in config.methods, batches, device)
        for place in places:
            moments = found.pop(place)
            blocks = list(_blocks(place[1], moments))
            for node in readers[place]:
                result[node.output] = _round(graph, node, qparams, config, blocks)
    return result


def _window(graph: Graph, node: Node) -> Window:
    shape, groups = graph.constants[node.inputs[1]].shape, node.integer("groups")
    if node.op == "conv2d":
        return Window(groups, shape[1], shape[2], shape[3], height=node.integer("height"))
    return Window(groups, shape[1], 1, shape[2], node.integer("dilation"))


def _groups(places: Sequence[Place]) -> Iterator[list[Place]]:
    """Places in order, as many at a time as memory holds."""
    group: list[Place] = []
    for place in places:
        if group and sum(window.bytes for _, window in (*group, place)) > MOMENT_BYTES:
            yield group
            group = []
        group.append(place)
    if group:
        yield group


def _measure(
    graph: Graph, places: Sequence[Place], centred: bool, batches: Sequence[npt.NDArray[np.float32]], device: str
) -> dict[Place, Moments]:
    from zeroq_asr.runtime.float_executor import FloatExecutor

    executor = FloatExecutor(graph, device)
    moments = {place: Moments(place[1], centred) for place in places}

    def look(name: str, value: Any) -> Any:
        for place in places:
            if place[0] == name:
                moments[place].update(value.detach().cpu().numpy().astype(np.float32))
        return value

    names = [name for name in graph.values if name in {place[0] for place in places}]
    for batch in batches:
        executor.run(batch, keep=names[-1:], outputs=False, edit=look)
    return moments


def _blocks(window: Window, moments: Moments) -> Iterator[npt.NDArray[np.float64]]:
    """H of all columns, in blocks of input channels of at most MOST_COLUMNS columns (but one channel at least)."""
    step = max(1, MOST_COLUMNS // (window.rows * window.frames))
    for first in range(0, window.channels, step):
        yield moments.matrix(first, min(window.channels, first + step))


def _round(
    graph: Graph,
    node: Node,
    qparams: Mapping[str, QuantParams],
    config: QuantizeConfig,
    blocks: Sequence[npt.NDArray[np.float64]],
) -> RoundedWeights:
    if not all(np.isfinite(block).all() for block in blocks):
        raise QuantizationError(
            f"value {node.inputs[0]!r}: the float model gives numbers that are not finite on the calibration data"
        )
    conv = FloatConv.of(graph, node, qparams[node.inputs[0]].scale, config)
    weight, top = conv.weight.astype(np.float64), 2 ** (conv.bits - 1) - 1
    return RoundedWeights(*gptq_round(weight, blocks, weight_scales(conv), top, per_tensor=conv.per_tensor))
