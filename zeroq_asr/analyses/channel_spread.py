"""How far each channel of each value reaches: largest magnitude and standard deviation, over data."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from zeroq_asr.runtime.float_executor import FloatExecutor

Reals = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class ChannelSpread:
    """Of one value, per channel, float64 [C]: the largest magnitude and the standard deviation."""

    peak: Reals
    deviation: Reals


def measure_spreads(executor: FloatExecutor, batches: Iterable[npt.NDArray[np.float32]]) -> dict[str, ChannelSpread]:
    """Return the spread of every value that the executor's graph computes over `batches`, float32 [B, n_mels, T]."""
    counts: dict[str, int] = {}
    totals: dict[str, tuple[Reals, Reals, Reals]] = {}

    def observe(name: str, value: Any) -> Any:
        x = value.detach().transpose(0, 1).flatten(1).double()  # [C, B T]
        peak, total, squares = (r.cpu().numpy() for r in (x.abs().amax(1), x.sum(1), x.square().sum(1)))
        if name in totals:
            before = totals[name]
            peak, total, squares = np.maximum(before[0], peak), before[1] + total, before[2] + squares
        counts[name], totals[name] = counts.get(name, 0) + x.shape[1], (peak, total, squares)
        return value

    for batch in batches:
        executor.run(batch, edit=observe)
    return {
        name: ChannelSpread(peak, np.sqrt(np.maximum(squares / counts[name] - (total / counts[name]) ** 2, 0.0)))
        for name, (peak, total, squares) in totals.items()
    }
