"""The cost of few weight bits, for single layers and for several together: the divergence of the CTC posteriors.

    D(bits) = mean over the frames of sum_v p_v (log p_v - log q_v), in nats

p: posteriors of the float model. q: posteriors of the same model with the weights of the layers in `bits` rounded, and
their biases corrected if the methods include bias correction. Activations are not quantized.
HAWQ-V3 (Yao et al. 2021) and ZeroQ (Cai et al. 2020, eq. 5) add the D of single layers. D of all layers together is
measured, too, because it need not be the sum.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.analyses.roles import CONVOLUTIONS
from zeroq_asr.analyses.sensitivity import round_weights
from zeroq_asr.config import QuantizeConfig
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.passes.correct_biases import correct_biases
from zeroq_asr.passes.gptq import round_with_gptq
from zeroq_asr.quant.qparams import QuantParams
from zeroq_asr.quant.weights import RoundedWeights

Batch = npt.NDArray[np.float32]
Reals = npt.NDArray[np.float64]


class LayerCosts:
    """Runs a prepared float graph with the weights of some layers rounded, each to its own bit width.

    config: its methods and granularity are used, its bits are not. probes: batches on which the divergence is measured,
    each float32 [B, n_mels, T] without padding. means: E[x] of the inputs of layers, for bias correction
    (`measure_means`). data: batches for gptq.
    """

    def __init__(
        self,
        graph: Graph,
        qparams: Mapping[str, QuantParams],
        config: QuantizeConfig,
        probes: Sequence[Batch],
        means: Mapping[str, Reals],
        data: Sequence[Batch] = (),
        device: str = "cpu",
    ) -> None:
        self._graph, self._qparams, self._config, self._device = graph, qparams, config, device
        self._probes, self._means, self._data = tuple(probes), means, tuple(data)
        self._rounded: dict[int, tuple[Graph, Mapping[str, Any]]] = {}
        self.layers = tuple(node.output for node in graph.nodes if node.op in CONVOLUTIONS)
        self._reference = self._run(graph)

    def divergence(self, bits: Mapping[str, int]) -> float:
        """Return D for the layers in `bits` rounded together, in nats. Raises QuantizationError, GraphError."""
        nodes = {node.output: node for node in self._graph.nodes}
        constants = dict(self._graph.constants)
        for layer, width in bits.items():
            corrected, weights = self._at(width)
            node = self._node(corrected, layer)
            nodes[layer] = node
            constants[node.inputs[1]] = weights[node.inputs[1]]
            constants.update((name, corrected.constants[name]) for name in node.inputs[2:])
        rounded = self._run(self._graph.with_nodes(tuple(nodes.values()), self._graph.values, constants))
        total = sum(float((np.exp(p) * (p - q)).sum()) for p, q in zip(self._reference, rounded, strict=True))
        frames: int = sum(p.shape[0] * p.shape[2] for p in self._reference)
        return total / frames

    def measure(self, widths: Sequence[int], on_step: Callable[[str], None]) -> Reals:
        """Return D of every layer alone at every bit width, float64 [layers, widths]; call `on_step` after each."""
        result = np.empty((len(self.layers), len(widths)))
        for column, width in enumerate(widths):  # the rounded weights of one bit width are in memory at a time
            for row, layer in enumerate(self.layers):
                result[row, column] = self.divergence({layer: width})
                on_step(f"{layer}, {width} bits")
            self._rounded.clear()
        return result

    def _at(self, width: int) -> tuple[Graph, Mapping[str, Any]]:
        """Return the graph with biases for `width` bits in every layer, and its rounded weights as real numbers."""
        if width not in self._rounded:
            config = replace(self._config, bits=width, layer_bits=())
            graph, qparams = self._graph, self._qparams
            rounded: Mapping[str, RoundedWeights] = {}
            if "gptq" in config.methods:
                rounded = round_with_gptq(graph, qparams, config, self._data, self._device)
            weights = round_weights(graph, qparams, config, rounded)
            if "bias-correction" in config.methods:
                graph = correct_biases(graph, qparams, config, self._means, rounded)
            self._rounded[width] = (graph, weights)
        return self._rounded[width]

    def _node(self, graph: Graph, layer: str) -> Node:
        node = graph.producer(layer)
        assert node is not None
        return node

    def _run(self, graph: Graph) -> list[Reals]:
        """Return the log softmax of the logits of every probe, float64 [B, V + 1, T']."""
        from zeroq_asr.runtime.float_executor import FloatExecutor

        executor, (output,) = FloatExecutor(graph, self._device), graph.outputs
        found = []
        for batch in self._probes:
            logits = executor.run(batch)[output].detach().cpu().numpy().astype(np.float64)
            shifted = logits - logits.max(axis=1, keepdims=True)
            found.append(shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True)))
        return found
