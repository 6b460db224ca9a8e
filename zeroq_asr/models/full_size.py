"""Models of the published sizes with random weights, for measurements of speed, memory and cost.

Their transcripts are meaningless. The config is the published one, and the graph comes from the same builder as that of
a checkpoint. torch is imported only when a model is made.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.errors import ConfigError
from zeroq_asr.frontend.spec import FrontendSpec
from zeroq_asr.ir import Array, Graph
from zeroq_asr.models.published import Config, published_config, published_names

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel
    from zeroq_asr.adapters.nemo.tensors import TensorSource

_FRAMES = 600
"""Frames of the noise on which the BatchNorm statistics are measured; far longer than the receptive field."""


def full_size_names() -> tuple[str, ...]:
    """Return the names that `full_size_model` accepts."""
    return published_names()


def full_size_model(name: str, seed: int = 0) -> FloatModel:
    """Return a model of a published size; the same seed gives the same weights. Raises ConfigError.

    Jasper has 333 million weights: 1.3 GB in the graph, and again in the executor that measures the statistics.
    """
    from zeroq_asr.adapters import FloatModel, fingerprint

    graph, vocabulary, family = _build(name, _RandomTensors(seed))
    frontend = _frontend(published_config(name))
    noise = np.random.default_rng(seed).normal(0, 1, (1, frontend.n_mels, _FRAMES)).astype(np.float32)
    graph = _with_measured_statistics(graph, noise)
    return FloatModel(graph, frontend, vocabulary, fingerprint(graph, frontend, vocabulary), name, family)


def full_size_graph(name: str) -> Graph:
    """Return the graph with weights of zero, which take no memory; enough for counting. Raises ConfigError."""
    return _build(name, _BlankTensors())[0]


def count_parameters(graph: Graph) -> int:
    """Return the number of parameters as NeMo counts them: weights, biases, gamma and beta, no running statistics."""
    return sum(array.size for name, array in graph.constants.items() if not name.endswith(_STATISTICS))


def _build(name: str, tensors: TensorSource) -> tuple[Graph, tuple[str, ...], str]:
    if name not in published_names():
        raise ConfigError(f"model: expected one of {', '.join(published_names())}, got {name!r}")
    from zeroq_asr.adapters.nemo.config import ConfigSection
    from zeroq_asr.adapters.nemo.load import build_graph

    model = ConfigSection(published_config(name), name)
    return build_graph(model, tensors, model.section("preprocessor").integer("features", 1, 1024), {})


def _frontend(config: Config) -> FrontendSpec:
    settings = config["preprocessor"]
    return FrontendSpec(n_mels=settings["features"], window_ms=1000 * settings["window_size"])


_STATISTICS = (".running_mean", ".running_var")


class _BlankTensors:
    """Gives zeros for every tensor. The system allocates no memory for zeros that are never written."""

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return the tensor `name`, read-only, so that no copy is needed."""
        array = self._make(name, shape)
        array.flags.writeable = False
        return array

    def _make(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        return np.zeros(shape, dtype=np.float32)

    def discard(self, name: str) -> None:
        """Do nothing: tensors are made on request."""

    def finish(self) -> None:
        """Do nothing: no tensor is unused."""


class _RandomTensors(_BlankTensors):
    """Draws every tensor on request; every BatchNorm starts with mean 0 and variance 1."""

    def __init__(self, seed: int) -> None:
        self._rng = np.random.default_rng(seed)

    def _make(self, name: str, shape: tuple[int, ...]) -> npt.NDArray[np.float32]:
        if name.endswith(_STATISTICS):
            return np.full(shape, float(name.endswith("var")), dtype=np.float32)
        if len(shape) == 1 and name.endswith(".weight"):  # gamma of a normalisation layer
            return self._rng.uniform(0.5, 1.5, shape).astype(np.float32)
        inputs = 100 if len(shape) == 1 or ".pos_bias_" in name else int(np.prod(shape[1:]))
        array = self._rng.standard_normal(shape, dtype=np.float32)
        array *= np.float32(inputs**-0.5)
        return array


def _with_measured_statistics(graph: Graph, mel: Array) -> Graph:
    """Return `graph` with the running statistics of every BatchNorm set to those of its input for `mel`.

    Otherwise the activations of a deep network with random weights decay to zero, layer by layer.
    """
    from zeroq_asr.runtime.float_executor import FloatExecutor

    norms = {node.inputs[0]: node for node in graph.nodes if node.op == "batch_norm"}
    measured: dict[str, Array] = {}

    def normalize(name: str, value: Any) -> Any:
        if name not in norms:
            return value
        eps = norms[name].attrs["eps"]
        assert isinstance(eps, float)
        mean, var = value.mean((0, 2)), value.var((0, 2), correction=0)
        measured[norms[name].inputs[1]], measured[norms[name].inputs[2]] = mean.numpy(), var.numpy()
        # A BatchNorm of mean 0 and variance 1 follows; together they equal the BatchNorm with the measured statistics.
        return (value - mean[:, None]) * ((1 + eps) / (var[:, None] + eps)) ** 0.5

    FloatExecutor(graph).run(mel.astype(np.float32), edit=normalize)
    return graph.with_nodes(graph.nodes, graph.values, {**graph.constants, **measured})
