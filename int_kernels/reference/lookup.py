"""lookup, spelled out (SPEC 4)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from int_kernels.int_type import IntType
from int_kernels.steps import Lookup


def lookup(step: Lookup, x: NDArray[Any], x_type: IntType, y_type: IntType) -> NDArray[Any]:
    """y[c, t] = table[x[c, t] - lo_x]. [C, T] -> y_type's storage [C, T]."""
    return step.table[x.astype(np.int64) - x_type.lo].astype(y_type.storage)
