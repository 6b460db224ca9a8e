"""What takes the place of a convolution's weights once an executable holds them in its packed layout."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import KernelError
from int_kernels.ops import Conv1d, Conv2d


class ReleasedWeight:
    """The shape of weights that were released; reading their numbers raises KernelError."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape = shape

    def __len__(self) -> int:
        return self.shape[0]

    def __array__(self, *arguments: Any, **named: Any) -> NoReturn:
        self._refuse()

    def __getattr__(self, name: str) -> NoReturn:
        if name.startswith("__"):  # what Python and numpy look for in any object
            raise AttributeError(name)
        self._refuse()

    def _refuse(self) -> NoReturn:
        raise KernelError(
            f"weight {list(self.shape)}: expected the numbers, but an executable released them (release_weights=True); "
            "build the program again"
        )


def release_weight(step: Conv1d | Conv2d) -> NDArray[Any]:
    """Return the weights of `step` and put a ReleasedWeight in their place. Raises KernelError the second time."""
    weight = np.asarray(step.weight)
    object.__setattr__(step, "weight", ReleasedWeight(weight.shape))
    return weight
