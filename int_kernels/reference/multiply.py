"""multiply, spelled out (SPEC 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def multiply(a: NDArray[Any], b: NDArray[Any]) -> NDArray[np.int32]:
    """y[c, t] = a[c, t] * b[c, t], or a[c, t] * b[c, 0]. a: [C, T], b: [C, T] or [C, 1] -> int32 [C, T]."""
    return (a.astype(np.int64) * b.astype(np.int64)).astype(np.int32)  # codes or int16: at most 2^30
