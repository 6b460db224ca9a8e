"""The torch interpreter of the float dialect: float baseline, synthesis and calibration.

Differentiable with respect to its input. Inside, a value [B, C, T] is held as [B, C, 1, T] in channels-last order: on
a CPU torch runs a depthwise convolution several times faster in that form than as a one-dimensional one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.ops import output_length
from zeroq_asr.ir.types import Graph, Node

Edit = Callable[[str, Tensor], Tensor]


@dataclass(frozen=True)
class _Signal:
    """A value on its way: `data` [B, C, 1, T] and, in a padded batch, the true length of each row."""

    data: Tensor
    lengths: Tensor | None


class FloatExecutor:
    """Runs one float graph with torch.

    Without `lengths` every row of a batch is taken to be T frames long. With `lengths` int64 [B] each masked
    convolution reads zeros beyond a row's end, so that a row of a padded batch gives what it gives alone.
    """

    def __init__(self, graph: Graph, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
        if graph.dialect != "float":
            raise GraphError(
                f"float executor: needed a graph of the float dialect, came one of the {graph.dialect} dialect"
            )
        self.graph = graph
        self.device = torch.device(device)
        self._dtype = dtype
        self._constants = {name: self._load(torch.tensor(array)) for name, array in graph.constants.items()}
        self._last_use = _last_uses(graph)

    def _load(self, constant: Tensor) -> Tensor:
        constant = constant.to(device=self.device, dtype=self._dtype)
        if constant.ndim == 3:  # a weight [C_out, C_in / groups, K]
            return constant.unsqueeze(2).contiguous(memory_format=torch.channels_last)
        return constant

    def run(
        self,
        mel: Tensor | npt.NDArray[np.float32],
        lengths: Tensor | None = None,
        keep: Collection[str] = (),
        outputs: bool = True,
        edit: Edit | None = None,
    ) -> dict[str, Tensor]:
        """Return the values named in `keep` and, if `outputs`, the graph's outputs, each [B, C, T].

        mel: [B, n_mels, T]. lengths: int64 [B] or None. `edit(name, value [B, C, T])` may look at or replace every
        value, the input included. With outputs=False nothing is computed beyond the last kept value.
        """
        wanted = set(keep) | (set(self.graph.outputs) if outputs else set())
        unknown = wanted - set(self.graph.values)
        if unknown:
            raise GraphError(f"float executor: no value named {sorted(unknown)[0]!r} in the graph")
        (name,) = self.graph.inputs
        given = mel if isinstance(mel, Tensor) else torch.tensor(mel)  # a copy: numpy's may be read-only
        data = given.to(device=self.device, dtype=self._dtype).unsqueeze(2)
        if lengths is not None:
            lengths = None if bool((lengths == mel.shape[2]).all()) else lengths.to(self.device)
        live = {name: _Signal(_edited(name, data, edit), lengths)}
        results = {name: live[name].data.squeeze(2)} if name in wanted else {}
        for index, node in enumerate(self.graph.nodes):
            if len(results) == len(wanted):
                break
            signal = self._step(node, [live[operand] for operand in node.inputs if operand in self.graph.values])
            signal = _Signal(_edited(node.output, signal.data, edit), signal.lengths)
            live[node.output] = signal
            if node.output in wanted:
                results[node.output] = signal.data.squeeze(2)
            for operand in node.inputs:
                if self._last_use.get(operand) == index:
                    live.pop(operand, None)
        return results

    def _step(self, node: Node, operands: list[_Signal]) -> _Signal:
        constants = [self._constants[name] for name in node.inputs if name in self._constants]
        first = operands[0]
        if node.op == "conv1d":
            return _conv1d(node, first, constants)
        if node.op == "batch_norm":
            mean, var, gamma, beta = constants
            eps = node.attrs["eps"]
            assert isinstance(eps, float)
            return _Signal(F.batch_norm(first.data, mean, var, gamma, beta, training=False, eps=eps), first.lengths)
        if node.op == "relu":
            return _Signal(F.relu(first.data), first.lengths)
        total = first.data
        for operand in operands[1:]:
            total = total + operand.data
        return _Signal(total, first.lengths)


def _conv1d(node: Node, signal: _Signal, constants: list[Tensor]) -> _Signal:
    stride, dilation, padding = node.integer("stride"), node.integer("dilation"), node.integer("padding")
    data, lengths = signal.data, signal.lengths
    if lengths is not None and node.integer("masked"):
        inside = torch.arange(data.shape[3], device=data.device) < lengths.unsqueeze(1)  # [B, T]
        data = data * inside[:, None, None, :]
    weight, bias = constants[0], constants[1] if len(constants) > 1 else None
    kernel = weight.shape[3]
    if output_length(data.shape[3], kernel, stride, dilation, padding) < 1:
        raise GraphError(
            f"node {node.output!r}: {data.shape[3]} frames are too few for its kernel; give a longer input"
        )
    groups = node.integer("groups")
    if dilation > 1 and stride == 1 and bias is None and groups == weight.shape[0] == data.shape[1]:
        data = dilated_depthwise(data, weight, dilation, padding)
    else:
        data = F.conv2d(
            data.contiguous(memory_format=torch.channels_last),
            weight,
            bias,
            stride=(1, stride),
            padding=(0, padding),
            dilation=(1, dilation),
            groups=groups,
        )
    if lengths is not None:
        lengths = torch.div(lengths + 2 * padding - dilation * (kernel - 1) - 1, stride, rounding_mode="floor") + 1
    return _Signal(data, lengths)


def dilated_depthwise(x: Tensor, weight: Tensor, dilation: int, padding: int) -> Tensor:
    """y[b, c, t] = sum_k w[c, k] x[b, c, t + d k - p] as d convolutions without dilation, one per phase t mod d.

    x [B, C, 1, T], weight [C, 1, 1, K]; returns [B, C, 1, T + 2 p - d (K - 1)], channels-last. torch has no fast kernel
    for dilated depthwise convolutions on a CPU: one such layer took as long as the rest of a QuartzNet.
    """
    batch, channels, _, frames = x.shape
    result = frames + 2 * padding - dilation * (weight.shape[3] - 1)
    # zeros behind the end make phases of equal length; no output that is kept reads them
    extra = -(frames + 2 * padding) % dilation
    rows = F.pad(x.permute(0, 2, 3, 1).squeeze(1), (0, 0, padding, padding + extra))  # [B, T + 2 p + extra, C]
    steps = rows.shape[1] // dilation
    phases = rows.view(batch, steps, dilation, channels).transpose(1, 2).reshape(batch * dilation, 1, steps, channels)
    y = F.conv2d(phases.permute(0, 3, 1, 2), weight, groups=channels).permute(0, 2, 3, 1)  # [B d, 1, T'', C]
    y = y.reshape(batch, dilation, -1, channels).transpose(1, 2).reshape(batch, -1, channels)
    return y[:, :result].unsqueeze(1).permute(0, 3, 1, 2)


def _edited(name: str, data: Tensor, edit: Edit | None) -> Tensor:
    return data if edit is None else edit(name, data.squeeze(2)).unsqueeze(2)


def _last_uses(graph: Graph) -> Mapping[str, int]:
    """Return for each value the index of the last node that reads it, so that its memory can go."""
    return {name: index for index, node in enumerate(graph.nodes) for name in node.inputs if name in graph.values}
