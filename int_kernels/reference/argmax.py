"""argmax over channels, spelled out (SPEC 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray


def argmax(x: NDArray[Any]) -> NDArray[np.int32]:
    """y[0, t] = the lowest c at which x[c, t] is the maximum over c. [C, T] -> int32 [1, T]."""
    first: NDArray[np.int32] = np.argmax(x, axis=0).astype(np.int32)  # numpy takes the first of equals
    return first[None, :]
