"""Which layer hurts: what the model says when one layer alone is integer, and when all but that one are.

A layer is a convolution (all linear layers are) with its weights and the stored values it reads, or an attention with
the values it reads. A value that several layers read is rounded with each of them, and real for all of them in turn.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.analyses.divergence import Mel, Posteriors, log_posteriors
from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.ir.types import Graph
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.weights import FloatConv, RoundedWeights, quantize_conv


@dataclass(frozen=True)
class Layer:
    """name: the value it makes. weight: its constant, None for an attention. reads: stored values it reads."""

    name: str
    op: str
    weight: str | None
    reads: tuple[str, ...]


@dataclass(frozen=True)
class Answer:
    """kl: mean over the frames of KL(float || this), in nats. tokens: best ids int32 [T'] of every utterance."""

    kl: float
    tokens: tuple[npt.NDArray[np.int32], ...]


def find_layers(graph: Graph, qparams: Mapping[str, QuantParams]) -> tuple[Layer, ...]:
    """The layers of a prepared float graph, in execution order."""
    layers = []
    for node in graph.nodes:
        if node.op in CONVOLUTIONS or node.op == "attention":
            weight = node.inputs[1] if node.op in CONVOLUTIONS else None
            reads = tuple(dict.fromkeys(name for name in node.inputs if name in qparams))
            layers.append(Layer(node.output, node.op, weight, reads))
    return tuple(layers)


def round_weights(
    graph: Graph,
    qparams: Mapping[str, QuantParams],
    config: QuantizeConfig,
    rounded: Mapping[str, RoundedWeights] | None = None,
) -> dict[str, Any]:
    """What the integer weights of every convolution stand for, float32, by the constant's name.

    rounded: weights of convolutions, by the values they make, that are rounded already (`round_with_gptq`).
    """
    result = {}
    for node in graph.nodes:
        if node.op in CONVOLUTIONS:
            real = FloatConv.of(graph, node, qparams[node.inputs[0]].scale, config)
            conv = quantize_conv(real, (rounded or {}).get(node.output))
            along = conv.weight_scale.reshape(-1, *(1,) * (conv.weight.ndim - 1))
            result[node.inputs[1]] = (conv.weight * along).astype(np.float32)
    return result


class Sensitivity:
    """Runs the float graph with chosen layers rounded, on the same utterances, and compares with the float model.

    graph: the prepared float graph. mels: features float32 [n_mels, T]. corrected, rounded: the same graph with biases
    for rounded weights (`correct_biases`), and weights that are rounded already (`round_with_gptq`), if there are any;
    a layer's bias is the corrected one where its weights are rounded. Rounding is simulated in float; the order of sums
    is the only difference to the integer program.
    """

    def __init__(
        self,
        graph: Graph,
        qparams: Mapping[str, QuantParams],
        config: QuantizeConfig,
        mels: Sequence[Mel],
        corrected: Graph | None = None,
        rounded: Mapping[str, RoundedWeights] | None = None,
    ) -> None:
        self._graph, self._qparams, self._mels = graph, dict(qparams), tuple(mels)
        integer = graph if corrected is None else corrected
        self._integer = {node.output: node for node in integer.nodes}
        self._constants = {**integer.constants, **round_weights(integer, qparams, config, rounded)}
        self.layers = find_layers(graph, qparams)
        self._reference = self._run((), ())

    def real(self) -> Answer:
        """The float model."""
        return self._answer(self._reference)

    def everything(self) -> Answer:
        """All weights and all stored values rounded."""
        return self._answer(self._run(self.layers, self._qparams))

    def only(self, layer: Layer) -> Answer:
        """This layer's weights and what it reads rounded, the rest real."""
        return self._answer(self._run((layer,), layer.reads))

    def all_but(self, layer: Layer) -> Answer:
        """This layer's weights and what it reads real, the rest rounded."""
        others = [other for other in self.layers if other != layer]
        return self._answer(self._run(others, self._qparams.keys() - set(layer.reads)))

    def _run(self, layers: Collection[Layer], values: Collection[str]) -> list[Posteriors]:
        from zeroq_asr.runtime.float_executor import FloatExecutor

        graph = self._graph
        nodes, constants = {node.output: node for node in graph.nodes}, dict(graph.constants)
        for layer in layers:
            if layer.weight is not None:
                nodes[layer.name] = self._integer[layer.name]
                constants.update((name, self._constants[name]) for name in nodes[layer.name].inputs[1:])
        executor = FloatExecutor(graph.with_nodes(nodes.values(), graph.values, constants))
        chosen = {name: self._qparams[name] for name in self._qparams if name in values}
        return [log_posteriors(executor, mel, chosen) for mel in self._mels]

    def _answer(self, posteriors: Sequence[Posteriors]) -> Answer:
        total = frames = 0.0
        for p, q in zip(self._reference, posteriors, strict=True):
            total += float((np.exp(p) * (p - q)).sum())
            frames += p.shape[1]
        return Answer(total / frames, tuple(q.argmax(axis=0).astype(np.int32) for q in posteriors))
