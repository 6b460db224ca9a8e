"""The integer program imitated in float64 with torch: what "simulated quantization" would compute with the same scales.

    y = clip(floor((conv(x, w) + b) * (m / 2^r) + 1/2), lo, hi)        everything in float64

It shares no arithmetic with the kernels and serves as a check on them: both decode the same text. In float32 a
product near a tie would be rounded the other way now and then.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch
import torch.nn.functional as F
from torch import Tensor

from int_kernels.int_type import IntType
from zeroq_asr.artifact import IntegerModel
from zeroq_asr.ir.types import Array, Node
from zeroq_asr.runtime.integer_executor import quantize_input


class SimulatedExecutor:
    """Runs an integer model in float64. The same face as `IntegerExecutor`."""

    def __init__(self, model: IntegerModel) -> None:
        self.model = model
        self._constants = {
            name: torch.tensor(array.astype(np.float64)) for name, array in model.graph.constants.items()
        }

    def run(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float64]]:
        """features: float32 [n_mels, T_i] each -> logits float64 [V + 1, T'_i] each, on the program's logit grid."""
        return [self._run(x) for x in features]

    def tokens(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.int32]]:
        """features: float32 [n_mels, T_i] each -> token ids int32 [T'_i] each."""
        return [logits.argmax(axis=0).astype(np.int32) for logits in self.run(features)]

    def _run(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        graph = self.model.graph
        (name,) = graph.inputs
        type = graph.values[name].type
        assert isinstance(type, IntType)
        codes = quantize_input(features, self.model.input_scale, type).astype(np.float64)
        values: dict[str, Tensor] = {name: torch.from_numpy(codes)[None, :, None, :]}
        for node in graph.nodes:
            if node.op != "argmax":
                values[node.output] = self._step(node, values)
        result: Array = values[graph.outputs[0]][0, :, 0].numpy()
        return result.astype(np.float64)

    def _step(self, node: Node, values: dict[str, Tensor]) -> Tensor:
        if node.op == "sum":
            multipliers, shift = (self._constants[name] for name in node.inputs[-2:])
            factors = (multipliers * torch.exp2(-shift))[:, None, :, None, None]  # [n, 1, C, 1, 1]
            scaled = sum(values[name] * factor for name, factor in zip(node.inputs[:-2], factors, strict=True))
            assert isinstance(scaled, Tensor)
            return torch.floor(scaled + 0.5).clamp(node.integer("lo"), node.integer("hi"))
        weight, bias = (self._constants[name] for name in node.inputs[1:3])
        accumulator = F.conv2d(
            values[node.inputs[0]].contiguous(memory_format=torch.channels_last),
            weight[:, :, None, :],
            bias,
            stride=(1, node.integer("stride")),
            padding=(0, node.integer("padding")),
            dilation=(1, node.integer("dilation")),
            groups=node.integer("groups"),
        )
        if node.op == "accumulate":
            return accumulator
        multiplier, shift = (self._constants[name] for name in node.inputs[3:])
        factor = (multiplier * torch.exp2(-shift))[None, :, None, None]
        return torch.floor(accumulator * factor + 0.5).clamp(node.integer("lo"), node.integer("hi"))
