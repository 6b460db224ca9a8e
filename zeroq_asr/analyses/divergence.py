"""How far rounding the stored values moves what the float model says, on speech: one number, finer than an error
rate."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from zeroq_asr.quant.qparams import QuantParams

if TYPE_CHECKING:
    from zeroq_asr.runtime.float_executor import FloatExecutor

Mel = npt.NDArray[np.float32]
Posteriors = npt.NDArray[np.float64]


def log_posteriors(executor: FloatExecutor, mel: Mel, qparams: Mapping[str, QuantParams] | None = None) -> Posteriors:
    """log softmax of the logits, float64 [V + 1, T'], for features float32 [n_mels, T].

    With `qparams` every value named there is replaced by what its code stands for, S (q - o), on the way.
    """

    def rounded(name: str, value: Any) -> Any:
        if qparams is None or name not in qparams:
            return value
        codes = qparams[name]
        return value.new_tensor(codes.real(codes.quantize(value.detach().cpu().numpy())))

    (output,) = executor.graph.outputs
    logits = executor.run(mel[None], edit=rounded)[output][0].detach().cpu().numpy().astype(np.float64)
    shifted = logits - logits.max(axis=0)
    result: Posteriors = shifted - np.log(np.exp(shifted).sum(axis=0))
    return result


def measure_divergence(
    executor: FloatExecutor,
    qparams: Mapping[str, QuantParams],
    utterances: Sequence[Mel],
    reference: Sequence[Posteriors] | None = None,
) -> float:
    """Mean over the frames of KL(p || q) = sum_v p_v (log p_v - log q_v), in nats.

    p: posteriors of the float graph (`reference`, if they are known), q: with all stored values rounded to their codes.
    Weights stay as they are, so that this is what the ranges alone cost.
    """
    total, frames = 0.0, 0
    for number, mel in enumerate(utterances):
        p = log_posteriors(executor, mel) if reference is None else reference[number]
        q = log_posteriors(executor, mel, qparams)
        total += float((np.exp(p) * (p - q)).sum())
        frames += p.shape[1]
    return total / frames
