"""Running an integer model: real numbers are touched in one place, where the input is quantized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from int_kernels import IntType, compile_program
from zeroq_asr.artifact import IntegerModel

Backend = Literal["native", "reference"]
Codes = npt.NDArray[np.int8]


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
        self.executable = compile_program(model.program, backend=backend)

    def run(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.int32]]:
        """features: float32 [n_mels, T_i] each -> logits int32 [V + 1, T'_i] each, on one integer grid."""
        return [logits for logits, _ in self._run(features)]

    def tokens(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.int32]]:
        """features: float32 [n_mels, T_i] each -> token ids int32 [T'_i] each: the integer argmax of the logits."""
        return [tokens[0] for _, tokens in self._run(features)]

    def _run(
        self, features: Sequence[npt.NDArray[np.float32]]
    ) -> list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
        type = self.model.graph.values[self.model.graph.inputs[0]].type
        assert isinstance(type, IntType)
        codes = [quantize_input(x, self.model.input_scale, type) for x in features]
        return [(logits, tokens) for logits, tokens in self.executable.run(codes, threads=self._threads)]
