"""The integer program imitated in float64 with torch: what "simulated quantization" would compute with the same scales.

    y = clip(floor((conv(x, w) + b) * (m / 2^r) + 1/2), lo, hi)        everything in float64

Values are rounded where the program stores them and nowhere else; sigmoid, softmax, sine and the square root of a
LayerNorm are the real functions. It shares no arithmetic with the kernels and serves as a check on them: both decode
the same text. In float32 a product near a tie would be rounded the other way now and then. How each step is simulated
is in the file of its operation, `zeroq_asr.ops`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from int_kernels import Argmax, Lookup, Step
from zeroq_asr.artifact import IntegerModel
from zeroq_asr.ops.activations import simulate_lookup
from zeroq_asr.ops.registry import SIMULATIONS
from zeroq_asr.runtime.integer_executor import quantize_input


class SimulatedExecutor:
    """Runs an integer model in float64. The same interface as `IntegerExecutor`."""

    def __init__(self, model: IntegerModel) -> None:
        self.model = model

    def run(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.float64]]:
        """features: float32 [n_mels, T_i] each -> logits float64 [V + 1, T'_i] each, on the program's logit grid."""
        return [self._run(x) for x in features]

    def tokens(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.int32]]:
        """features: float32 [n_mels, T_i] each -> token ids int32 [T'_i] each."""
        return [logits.argmax(axis=0).astype(np.int32) for logits in self.run(features)]

    def _run(self, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        program = self.model.program
        codes = quantize_input(features, self.model.input_scale, program.spec(program.input).type).astype(np.float64)
        values: dict[str, Tensor] = {program.input: torch.from_numpy(codes)}  # [C, T] each
        for step in program.steps:
            if not isinstance(step, Argmax):
                values[step.y] = self._step(step, values)
        return values[program.outputs[0]].numpy().astype(np.float64)

    def _step(self, step: Step, values: Mapping[str, Tensor]) -> Tensor:
        operands = [values[name] for name in step.inputs]
        if isinstance(step, Lookup):
            return simulate_lookup(step, operands, self.model.program.spec(step.x).type.lo)
        made: Tensor = SIMULATIONS[type(step)](step, operands)
        return made
