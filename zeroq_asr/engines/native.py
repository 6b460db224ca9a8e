"""Our integer program on the compiled kernels, from features to token ids."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import numpy.typing as npt

from int_kernels.native_executable import NativeExecutable
from zeroq_asr.artifact import IntegerModel, load_model
from zeroq_asr.engines import noise
from zeroq_asr.runtime.integer_executor import IntegerExecutor


def open_native(path: str, batch: int, frames: int, threads: int) -> Callable[[], list[npt.NDArray[np.int32]]]:
    """Return the run of a quantized file; quantizing the input is part of it. Imports no torch."""
    model = load_model(path)
    executor = IntegerExecutor(model, threads=threads)
    features = list(noise(batch, model.frontend.n_mels, frames))
    return lambda: executor.run(features)


def native_name(model: IntegerModel) -> str:
    """Return e.g. "zeroq-avx512vnni": the kernels that this processor, or ZEROQ_KERNELS, chooses."""
    return f"zeroq-{NativeExecutable(model.program).kernels}"
