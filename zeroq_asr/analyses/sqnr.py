"""How well the codes represent the float model, value by value."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from int_kernels import Program, compile_program
from zeroq_asr.quant.qparams import QuantParams

if TYPE_CHECKING:
    from zeroq_asr.runtime.float_executor import FloatExecutor


def measure_sqnr(
    executor: FloatExecutor,
    program: Program,
    qparams: Mapping[str, QuantParams],
    mel: npt.NDArray[np.float32],
    threads: int = 1,
    backend: str = "native",
) -> dict[str, float]:
    """Return the signal to quantization noise ratio of every stored value, in dB, over the utterances `mel` [B,
    n_mels, T].

        SQNR = 10 log10( sum x^2 / sum (x - S (q - o))^2 )

    x from the float graph of `executor` and q from the integer program, both fed with the same input, so that the
    noise of all earlier layers is in it. Infinite where the codes are exact.
    """
    names = list(qparams)
    source = program.input
    inner = [name for name in names if name != source]
    executable = compile_program(replace(program, outputs=tuple(inner)), backend)
    signal, noise = dict.fromkeys(names, 0.0), dict.fromkeys(names, 0.0)
    for utterance in mel:
        real = executor.run(utterance[None], keep=names, outputs=False)
        input_codes = qparams[source].quantize(utterance).astype(qparams[source].type.storage)
        codes = dict(zip(inner, executable.run([input_codes], threads=threads)[0], strict=True)) | {source: input_codes}
        for name in names:
            x = real[name][0].cpu().numpy().astype(np.float64)
            error = x - qparams[name].real(codes[name])
            signal[name] += float(np.square(x).sum())
            noise[name] += float(np.square(error).sum())
    return {name: _decibel(signal[name], noise[name]) for name in names}


def _decibel(signal: float, noise: float) -> float:
    if noise == 0:
        return math.inf
    return 10 * math.log10(signal / noise) if signal > 0 else -math.inf
