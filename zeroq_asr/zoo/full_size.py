"""QuartzNet at its published sizes with random weights: for measuring speed and memory. It understands nothing.

Kriman et al. 2019, *QuartzNet: deep automatic speech recognition with 1D time-channel separable convolutions*, table 1:
C1, five kinds of blocks, each kind 1, 2 or 3 times in a row, C2, C3 and the CTC head. Light: imports no torch until a
model is made.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from zeroq_asr.errors import ConfigError
from zeroq_asr.ir import Array, Graph, GraphBuilder
from zeroq_asr.ir.frontend_spec import FrontendSpec
from zeroq_asr.zoo.architecture import LABELS

if TYPE_CHECKING:
    from zeroq_asr.adapters import FloatModel

_TIMES: Mapping[str, int] = {"quartznet5x5": 1, "quartznet10x5": 2, "quartznet15x5": 3}
_BLOCKS = ((256, 33), (256, 39), (512, 51), (512, 63), (512, 75))  # width, kernel
_REPEAT = 5
_EPS = 1e-3
_FRAMES = 200
"""Length of the noise that the BatchNorm statistics are taken from."""


def full_size_names() -> tuple[str, ...]:
    """The names that `full_size_model` takes."""
    return tuple(_TIMES)


def full_size_model(name: str, seed: int = 0) -> FloatModel:
    """Return a QuartzNet of the published size; the same seed gives the same weights. Raises ConfigError."""
    if name not in _TIMES:
        raise ConfigError(f"model {name!r}: not a full-size configuration; needed one of {', '.join(_TIMES)}")
    from zeroq_asr.adapters import FloatModel, fingerprint

    rng = np.random.default_rng(seed)
    frontend = FrontendSpec()
    noise = rng.normal(0, 1, (1, frontend.n_mels, _FRAMES)).astype(np.float32)
    graph = _with_measured_statistics(_Quartz(rng).build(frontend.n_mels, _TIMES[name]), noise)
    return FloatModel(graph, frontend, LABELS, fingerprint(graph, frontend, LABELS), name, "quartznet")


class _Quartz:
    """Writes the graph with random weights; every BatchNorm starts at mean 0 and variance 1."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng, self._graph = rng, GraphBuilder()

    def build(self, n_mels: int, times: int) -> Graph:
        x, width = self._unit(self._graph.input("mel", n_mels), "c1", n_mels, 256, 33, stride=2), 256
        x = self._relu(x, width)
        for index, (filters, kernel) in enumerate(block for block in _BLOCKS for _ in range(times)):
            x, width = self._block(x, f"b{index + 1}", width, filters, kernel), filters
        x = self._relu(self._unit(x, "c2", width, 512, 87, dilation=2), 512)
        x = self._relu(self._norm(self._conv(x, "c3", 512, 1024), "c3.bn", 1024), 1024)
        classes = len(LABELS) + 1
        bias = self._graph.constant("logits.bias", self._rng.normal(0, 0.1, classes).astype(np.float32))
        return self._graph.build((self._conv(x, "logits", 1024, classes, bias=(bias,)),))

    def _block(self, x: str, name: str, width: int, filters: int, kernel: int) -> str:
        y = self._unit(x, f"{name}.0", width, filters, kernel)
        for repeat in range(1, _REPEAT):
            y = self._unit(self._relu(y, filters), f"{name}.{repeat}", filters, filters, kernel)
        branch = self._norm(self._conv(x, f"{name}.res", width, filters), f"{name}.res.bn", filters)
        return self._relu(self._graph.node("add", (y, branch), f"{name}.add", filters), filters)

    def _unit(
        self, x: str, name: str, width: int, filters: int, kernel: int, stride: int = 1, dilation: int = 1
    ) -> str:
        """Depthwise convolution, pointwise convolution, BatchNorm."""
        x = self._conv(x, f"{name}.dw", width, width, kernel, width, stride, dilation)
        return self._norm(self._conv(x, f"{name}.pw", width, filters), f"{name}.bn", filters)

    def _conv(
        self,
        x: str,
        name: str,
        width: int,
        filters: int,
        kernel: int = 1,
        groups: int = 1,
        stride: int = 1,
        dilation: int = 1,
        bias: tuple[str, ...] = (),
    ) -> str:
        shape = (filters, width // groups, kernel)
        weight = self._rng.normal(0, (shape[1] * kernel) ** -0.5, shape).astype(np.float32)
        return self._graph.node(
            "conv1d",
            (x, self._graph.constant(f"{name}.weight", weight), *bias),
            name,
            filters,
            stride=stride,
            dilation=dilation,
            padding=dilation * (kernel - 1) // 2,
            groups=groups,
            masked=1,
        )

    def _norm(self, x: str, name: str, channels: int) -> str:
        parts = {
            "mean": np.zeros(channels),
            "var": np.ones(channels),
            "gamma": self._rng.uniform(0.5, 1.5, channels),
            "beta": self._rng.normal(0, 0.3, channels),
        }
        names = [self._graph.constant(f"{name}.{part}", array.astype(np.float32)) for part, array in parts.items()]
        return self._graph.node("batch_norm", (x, *names), name, channels, eps=_EPS)

    def _relu(self, x: str, channels: int) -> str:
        return self._graph.node("relu", (x,), f"{x}.relu", channels)


def _with_measured_statistics(graph: Graph, mel: Array) -> Graph:
    """Return `graph` with every BatchNorm remembering the mean and variance that it sees for `mel`.

    Without this the activations of a deep network with random weights shrink layer by layer to nothing.
    """
    from zeroq_asr.runtime.float_executor import FloatExecutor

    norms = {node.inputs[0]: node for node in graph.nodes if node.op == "batch_norm"}
    measured: dict[str, Array] = {}

    def normalize(name: str, value: Any) -> Any:
        if name not in norms:
            return value
        mean, var = value.mean((0, 2)), value.var((0, 2), correction=0)
        measured[norms[name].inputs[1]], measured[norms[name].inputs[2]] = mean.numpy(), var.numpy()
        # behind this stands a BatchNorm of mean 0 and variance 1: together they are the one with the measured numbers
        return (value - mean[:, None]) * ((1 + _EPS) / (var[:, None] + _EPS)) ** 0.5

    FloatExecutor(graph).run(mel.astype(np.float32), edit=normalize)
    return graph.with_nodes(graph.nodes, graph.values, {**graph.constants, **measured})
