"""Running an integer model: real numbers are touched in one place, where the input is quantized."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
import numpy.typing as npt

from int_kernels import Executable, IntType, Program, compile_program
from int_kernels.backends.native.executable import NativeExecutable
from zeroq_asr.artifact import IntegerModel

Backend = Literal["native", "reference"]
Codes = npt.NDArray[np.int8]


def quantize_input(features: npt.NDArray[np.float32], scale: float, type: IntType) -> Codes:
    """clip(floor(x / S + 1/2), lo, hi) of log-mel features [n_mels, T]: the declared float edge, in float64."""
    codes = features.astype(np.float64)  # one array, changed in place: an utterance's is as large as a cache
    codes /= scale
    codes += 0.5
    np.floor(codes, out=codes)
    return codes.clip(type.lo, type.hi, out=codes).astype(type.storage)


class IntegerExecutor:
    """Runs an integer model on feature matrices, each at its own length.

    The bytes of the result depend neither on `backend`, nor on `threads`, nor on what else is in the batch.
    """

    def __init__(self, model: IntegerModel, backend: Backend = "native", threads: int = 1) -> None:
        self._take(compile_program(model.program, backend=backend), model.input_scale, threads)

    @classmethod
    def spending(cls, program: Program, input_scale: float, threads: int = 1) -> IntegerExecutor:
        """Return the native executor of a program that is used up by it (see `NativeExecutable`).

        Where nothing else holds the program's weights, they are in memory once, in the kernels' order.
        """
        executor = cls.__new__(cls)
        executor._take(NativeExecutable(program, release_weights=True), input_scale, threads)
        return executor

    def _take(self, executable: Executable, input_scale: float, threads: int) -> None:
        self.executable, self._input_scale, self._threads = executable, input_scale, threads

    def memory_bytes(self, frames: int) -> dict[str, int]:
        """Bytes of the `model` (weights and tables as the kernels read them) and of an `utterance` of so many frames.

        Of the native executor alone; the reference counts nothing.
        """
        if not isinstance(self.executable, NativeExecutable):
            return {}
        return {"model": self.executable.constant_bytes, "utterance": self.executable.memory_bytes(frames)}

    def run(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.int32]]:
        """features: float32 [n_mels, T_i] each -> logits int32 [V + 1, T'_i] each, on one integer grid."""
        return [logits for logits, _ in self._run(features)]

    def tokens(self, features: Sequence[npt.NDArray[np.float32]]) -> list[npt.NDArray[np.int32]]:
        """features: float32 [n_mels, T_i] each -> token ids int32 [T'_i] each: the integer argmax of the logits."""
        return [tokens[0] for _, tokens in self._run(features)]

    def _run(
        self, features: Sequence[npt.NDArray[np.float32]]
    ) -> list[tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]]:
        program = self.executable.program
        type = program.spec(program.input).type
        codes = [quantize_input(x, self._input_scale, type) for x in features]
        return [(logits, tokens) for logits, tokens in self.executable.run(codes, threads=self._threads)]
