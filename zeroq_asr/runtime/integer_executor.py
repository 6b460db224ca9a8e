"""Integer graph -> integer kernels: the only edge where a real number is touched is the quantization of the input."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from int_kernels import Argmax, Conv1d, Dyadic, IntType, Program, Sum, ValueSpec, compile_program
from zeroq_asr.artifact import IntegerModel
from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Graph, Node

Backend = Literal["native", "reference"]
Codes = npt.NDArray[np.int8]


def build_program(graph: Graph, outputs: Sequence[str] | None = None) -> Program:
    """Return the program of an integer graph; `outputs` may name any values instead of the graph's own outputs.

    Raises GraphError (another dialect) and int_kernels.KernelError (an accumulator could overflow, ...).
    """
    if graph.dialect != "integer":
        raise GraphError(f"needed a graph of the integer dialect, came one of the {graph.dialect} dialect")
    values = []
    for value in graph.values.values():
        assert isinstance(value.type, IntType)
        values.append(ValueSpec(value.name, value.channels, value.type))
    (name,) = graph.inputs
    steps = tuple(_step(graph, node) for node in graph.nodes)
    return Program(tuple(values), steps, name, tuple(outputs or graph.outputs))


def quantize_input(features: npt.NDArray[np.float32], scale: float, type: IntType) -> Codes:
    """clip(floor(x / S + 1/2), lo, hi) of log-mel features [n_mels, T]: the declared float edge, in float64."""
    codes = np.floor(features.astype(np.float64) / scale + 0.5).clip(type.lo, type.hi)
    return codes.astype(type.storage)


class IntegerExecutor:
    """Runs an integer model on feature matrices, each at its own length.

    The bytes of the result depend neither on `backend`, nor on `threads`, nor on what else is in the batch.
    """

    def __init__(self, model: IntegerModel, backend: Backend = "native", threads: int = 1) -> None:
        self.model = model
        self._threads = threads
        self._executable = compile_program(build_program(model.graph), backend=backend)

    def run(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.int32]]:
        """features: float32 [n_mels, T_i] each -> logits int32 [V + 1, T'_i] each, on one integer grid."""
        return [logits for logits, _ in self._run(features)]

    def tokens(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.int32]]:
        """features: float32 [n_mels, T_i] each -> token ids int32 [T'_i] each: the integer argmax of the logits."""
        return [tokens[0] for _, tokens in self._run(features)]

    def _run(self, features: Sequence[npt.NDArray[np.float32]]) -> list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
        type = self.model.graph.values[self.model.graph.inputs[0]].type
        assert isinstance(type, IntType)
        codes = [quantize_input(x, self.model.input_scale, type) for x in features]
        return [(logits, tokens) for logits, tokens in self._executable.run(codes, threads=self._threads)]


def _step(graph: Graph, node: Node) -> Conv1d | Sum | Argmax:
    if node.op == "argmax":
        return Argmax(node.inputs[0], node.output)
    if node.op == "sum":
        multipliers, shift = (graph.constants[name] for name in node.inputs[-2:])
        clip = (node.integer("lo"), node.integer("hi"))
        return Sum(node.inputs[:-2], node.output, multipliers, shift, clip)  # type: ignore[arg-type]
    weight, bias = (graph.constants[name] for name in node.inputs[1:3])
    rescale, limits = None, None
    if node.op == "conv1d":
        multiplier, shift = (graph.constants[name] for name in node.inputs[3:])
        rescale = Dyadic(multiplier, shift)  # type: ignore[arg-type]
        limits = (node.integer("lo"), node.integer("hi"))
    geometry = {name: node.integer(name) for name in ("stride", "dilation", "padding", "groups")}
    return Conv1d(node.inputs[0], node.output, weight, bias, **geometry, rescale=rescale, clip=limits)  # type: ignore[arg-type]
