"""The float model in torch: two engines on the CPU, three on a GPU.

All utterances of an input have its full length, so the masks of padding are omitted.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Mapping
from dataclasses import replace

import torch
import torch.nn.functional as F
from torch import Tensor

from eval.latency import Note, reset_peak_memory
from zeroq_asr.ir.types import Graph, Node
from zeroq_asr.models.resolve import load_float_model
from zeroq_asr.ops.registry import OPS
from zeroq_asr.ops.signals import Signal
from zeroq_asr.passes.canonicalize import prepare
from zeroq_asr.runtime.float_executor import FloatExecutor
from zeroq_research.engines import load_inputs, one_by_one

Run = Callable[[], Note]

CUDA_PRECISIONS = {"float32": (torch.float32, False), "tf32": (torch.float32, True), "float16": (torch.float16, False)}
"""Name -> (dtype of weights and values, whether products may round their factors to TF32)."""


def open_eager(reference: str, inputs: str, threads: int) -> Run:
    """Return the run that corresponds to NeMo: eager one-dimensional convolutions, BatchNorms not folded."""
    graph, mels = _prepare(reference, inputs, threads)
    constants = {name: torch.tensor(array) for name, array in graph.constants.items()}
    nodes, (source,), (result,) = graph.nodes, graph.inputs, graph.outputs
    last_use = {name: node.output for node in nodes for name in node.inputs if name not in constants}

    def infer(mel: Tensor) -> Tensor:
        live = {source: mel}
        for node in nodes:
            live[node.output] = _step(node, {**live, **{n: constants[n] for n in node.inputs if n in constants}})
            for name in node.inputs:
                if last_use.get(name) == node.output:
                    del live[name]
        return live[result]

    del graph
    gc.collect()
    reset_peak_memory()
    return torch.inference_mode()(one_by_one(infer, mels))


def open_channels_last(reference: str, inputs: str, threads: int) -> Run:
    """Return the run of our float executor: two-dimensional channels-last convolutions, BatchNorms folded."""
    graph, mels = _prepare(reference, inputs, threads)
    executor = FloatExecutor(prepare(graph))
    executor.graph = replace(executor.graph, constants={})  # torch has its own copy
    (result,) = graph.outputs
    del graph
    gc.collect()
    reset_peak_memory()
    return torch.inference_mode()(one_by_one(lambda mel: executor.run(mel)[result], mels))


def has_cuda() -> bool:
    """Return whether torch can use a GPU."""
    return torch.cuda.is_available()


def open_cuda(reference: str, inputs: str, precision: str, threads: int) -> Run:
    """Return the run of our float executor on the first GPU, as one CUDA graph per input shape.

    precision: a name in CUDA_PRECISIONS. Copying the input to the GPU and the logits back is part of the run. Relative
    positions are computed on the CPU, which a CUDA graph cannot record, so models with attention run without one.
    """
    dtype, may_round = CUDA_PRECISIONS[precision]
    torch.set_float32_matmul_precision("high" if may_round else "highest")
    torch.backends.cudnn.allow_tf32, torch.backends.cudnn.benchmark = may_round, True
    graph, mels = _prepare(reference, inputs, threads)
    executor = FloatExecutor(prepare(graph), "cuda", dtype)
    (result,) = graph.outputs
    if any(node.op == "positions" for node in graph.nodes):
        return torch.inference_mode()(one_by_one(lambda mel: executor.run(mel)[result].cpu(), mels))
    with torch.inference_mode():
        shapes = {mel.shape: torch.zeros(mel.shape, device="cuda", dtype=dtype) for mel in mels}
        replays = {shape: _capture(lambda x: executor.run(x)[result], x) for shape, x in shapes.items()}
    return torch.inference_mode()(one_by_one(lambda mel: replays[mel.shape](mel), mels))


def _capture(compute: Callable[[Tensor], Tensor], x: Tensor) -> Callable[[Tensor], Tensor]:
    """Record `compute` on the buffer `x`; return a function that copies an input there, replays and copies back."""
    side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    side.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(side):
        for _ in range(3):  # libraries choose their kernels and workspaces in the first runs
            compute(x)
    torch.cuda.current_stream().wait_stream(side)
    recorded = torch.cuda.CUDAGraph()
    with torch.cuda.graph(recorded):
        y = compute(x)

    def replay(mel: Tensor) -> Tensor:
        x.copy_(mel)
        recorded.replay()
        return y.cpu()

    return replay


def _prepare(reference: str, inputs: str, threads: int) -> tuple[Graph, list[Tensor]]:
    torch.set_num_threads(threads)
    return load_float_model(reference).graph, [torch.from_numpy(mel) for mel in load_inputs(inputs)]


def _step(node: Node, values: Mapping[str, Tensor]) -> Tensor:
    x, *others = (values[name] for name in node.inputs)
    if node.op == "conv1d":
        if others[0].shape[2] == 1 and not node.integer("masked"):  # NeMo uses a Linear layer here
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
    op = OPS[node.op]
    count = op.operands
    assert count is not None
    operands = [Signal(value.unsqueeze(2), None) for value in (x, *others[: count - 1])]
    return op.forward(node, operands, others[count - 1 :]).data.squeeze(2)
