"""Runs float graphs with torch: float baseline, synthesis and calibration.

Differentiable with respect to its input. The operations are in `zeroq_asr.ops`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from zeroq_asr.errors import GraphError
from zeroq_asr.ir.types import Graph
from zeroq_asr.ops.registry import OPS
from zeroq_asr.ops.signals import Signal

Edit = Callable[[str, Tensor], Tensor]


class FloatExecutor:
    """Runs one float graph with torch.

    Without `lengths` every row of a batch is taken to be T frames long. With `lengths` int64 [B] each masked
    convolution reads zeros beyond a row's end, attention looks at no frame there and a mean counts none, so that a row
    of a padded batch gives what it gives alone.
    """

    def __init__(self, graph: Graph, device: str = "cpu", dtype: torch.dtype = torch.float32) -> None:
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
        live = {name: Signal(_edited(name, data, edit), lengths)}
        results = {name: live[name].data.squeeze(2)} if name in wanted else {}
        for index, node in enumerate(self.graph.nodes):
            if len(results) == len(wanted):
                break
            operands = [live[operand] for operand in node.inputs if operand in live]
            constants = [self._constants[name] for name in node.inputs if name in self._constants]
            signal = OPS[node.op].forward(node, operands, constants)
            signal = Signal(_edited(node.output, signal.data, edit), signal.lengths)
            live[node.output] = signal
            if node.output in wanted:
                results[node.output] = signal.data.squeeze(2)
            for operand in node.inputs:
                if self._last_use.get(operand) == index:
                    live.pop(operand, None)
        return results


def _edited(name: str, data: Tensor, edit: Edit | None) -> Tensor:
    return data if edit is None else edit(name, data.squeeze(2)).unsqueeze(2)


def _last_uses(graph: Graph) -> Mapping[str, int]:
    """Return for each value the index of the last node that reads it, so that its memory can go."""
    return {name: index for index, node in enumerate(graph.nodes) for name in node.inputs if name in graph.values}
