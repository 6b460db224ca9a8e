"""How well the stored integers of a program stand for the float model, and how their codes are used, value by value."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from int_kernels import Program, compile_program
from zeroq_asr.quant.qparams import QuantParams

if TYPE_CHECKING:
    from zeroq_asr.runtime.float_executor import FloatExecutor

_BINS = 64


@dataclass(frozen=True)
class CodeError:
    """sqnr_db: 10 log10(sum x^2 / sum (x - x')^2), infinite where exact. cosine: sum x x' / (|x| |x'|).

    x: the float model's value, x': what the integer program's code stands for, all earlier errors in it. clipped:
    share of codes at an end of their type. histogram: counts of codes in 64 equal parts of the type's range, by their
    edges [65].
    """

    sqnr_db: float
    cosine: float
    clipped: float
    counts: npt.NDArray[np.int64]
    edges: npt.NDArray[np.float64]


class _Sums:
    """x x, x' x', x x', (x - x')^2, summed in float64 over utterances, and the histogram of the codes."""

    def __init__(self, params: QuantParams) -> None:
        self._params = params
        self._edges = np.linspace(params.type.lo, params.type.hi + 1, _BINS + 1)
        self._counts = np.zeros(_BINS, dtype=np.int64)
        self._xx = self._yy = self._xy = self._noise = 0.0
        self._clipped = self._seen = 0

    def add(self, x: npt.NDArray[np.float64], codes: npt.NDArray[Any]) -> None:
        y = self._params.real(codes)
        self._xx, self._yy = self._xx + float(np.square(x).sum()), self._yy + float(np.square(y).sum())
        self._xy, self._noise = self._xy + float((x * y).sum()), self._noise + float(np.square(x - y).sum())
        self._clipped += int(np.count_nonzero((codes == self._params.type.hi) | (codes == self._params.type.lo)))
        self._seen += codes.size
        self._counts += np.histogram(codes, self._edges)[0]

    def result(self) -> CodeError:
        sqnr = math.inf if self._noise == 0 else -math.inf if self._xx == 0 else 10 * math.log10(self._xx / self._noise)
        product = math.sqrt(self._xx) * math.sqrt(self._yy)
        cosine = self._xy / product if product else float(self._xx == self._yy)
        return CodeError(sqnr, min(cosine, 1.0), self._clipped / max(self._seen, 1), self._counts, self._edges)


def measure_codes(
    executor: FloatExecutor,
    program: Program,
    qparams: Mapping[str, QuantParams],
    mels: Sequence[npt.NDArray[np.float32]],
    threads: int = 1,
) -> dict[str, CodeError]:
    """Return the error of every stored value over the utterances, features float32 [n_mels, T] each.

    executor: the prepared float graph; program: what it was lowered to with `qparams`. Native kernels run it.
    """
    names = list(qparams)
    source = program.input
    inner = [name for name in names if name != source]
    executable = compile_program(replace(program, outputs=tuple(inner)), "native")
    sums = {name: _Sums(params) for name, params in qparams.items()}
    for mel in mels:
        real = executor.run(mel[None], keep=names, outputs=False)
        input_codes = qparams[source].quantize(mel).astype(qparams[source].type.storage)
        codes = dict(zip(inner, executable.run([input_codes], threads=threads)[0], strict=True)) | {source: input_codes}
        for name in names:
            sums[name].add(real[name][0].cpu().numpy().astype(np.float64), codes[name])
    return {name: found.result() for name, found in sums.items()}
