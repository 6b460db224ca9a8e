"""The float model in torch, two ways. Every row is full, so masks are left out."""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from eval.latency import forget_peak_memory
from zeroq_asr.adapters import load_float_model
from zeroq_asr.engines import noise
from zeroq_asr.ir.ops import OPS
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.passes.prepare import prepare
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_asr.runtime.float_ops import OPERATIONS, Signal

Run = Callable[[], Tensor]


def open_eager(reference: str, batch: int, frames: int, threads: int) -> Run:
    """Return the run as NeMo does it: eager one-dimensional convolutions, BatchNorms not folded."""
    graph, mel = _prepare(reference, batch, frames, threads)
    constants = {name: torch.tensor(array) for name, array in graph.constants.items()}
    nodes, (source,), (result,) = graph.nodes, graph.inputs, graph.outputs
    last_use = {name: node.output for node in nodes for name in node.inputs if name not in constants}

    def run() -> Tensor:
        live = {source: mel}
        for node in nodes:
            live[node.output] = _step(node, {**live, **{n: constants[n] for n in node.inputs if n in constants}})
            for name in node.inputs:
                if last_use.get(name) == node.output:
                    del live[name]
        return live[result]

    del graph
    gc.collect()
    forget_peak_memory()
    return torch.inference_mode()(run)


def open_channels_last(reference: str, batch: int, frames: int, threads: int) -> Run:
    """Return the run of our float executor: two-dimensional convolutions, channels last, BatchNorms folded."""
    graph, mel = _prepare(reference, batch, frames, threads)
    executor = FloatExecutor(prepare(graph))
    (result,) = graph.outputs
    del graph
    gc.collect()
    forget_peak_memory()
    return torch.inference_mode()(lambda: executor.run(mel)[result])


def _prepare(reference: str, batch: int, frames: int, threads: int) -> tuple[Graph, Tensor]:
    torch.set_num_threads(threads)
    model = load_float_model(reference)
    return model.graph, torch.from_numpy(noise(batch, model.frontend.n_mels, frames))


def _step(node: Node, values: Mapping[str, Tensor]) -> Tensor:
    x, *others = (values[name] for name in node.inputs)
    if node.op == "conv1d":
        if others[0].shape[2] == 1 and not node.integer("masked"):  # what NeMo calls Linear
            return F.linear(x.transpose(1, 2), others[0][:, :, 0], *others[1:]).transpose(1, 2)
        geometry = [node.integer(name) for name in ("stride", "padding", "dilation", "groups")]
        return F.conv1d(x, others[0], others[1] if len(others) > 1 else None, *geometry)
    if node.op == "batch_norm":
        eps = node.attrs["eps"]
        assert isinstance(eps, float)
        mean, var, gamma, beta = others
        return F.batch_norm(x, mean, var, gamma, beta, training=False, eps=eps)
    if node.op == "relu":
        return F.relu(x)
    if node.op == "add":
        for other in others:
            x = x + other
        return x
    count = OPS["float", node.op].operands
    assert count is not None
    operands = [Signal(value.unsqueeze(2), None) for value in (x, *others[: count - 1])]
    return OPERATIONS[node.op](node, operands, others[count - 1 :]).data.squeeze(2)
