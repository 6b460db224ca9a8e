"""What the float64 simulations of integer steps share (`zeroq_asr.runtime.simulation`)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:
    from torch import Tensor


def rounded(x: Tensor, clip: tuple[int, int] | None) -> Tensor:
    """clip(floor(x + 1/2), lo, hi)."""
    import torch

    assert clip is not None  # lowering states it for every step that rounds
    return torch.floor(x + 0.5).clamp(*clip)


def dyadic_column(multiplier: npt.NDArray[Any], shift: npt.NDArray[Any]) -> Tensor:
    """m / 2^r as a float64 column that meets [C, T]."""
    import torch

    return torch.tensor(multiplier.astype(np.float64) * 2.0 ** -shift.astype(np.float64))[:, None]
