"""What stands where a convolution's weights were, once an executable has taken them into its own order."""

from __future__ import annotations

from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from int_kernels.errors import KernelError
from int_kernels.steps.convolutions import Conv1d, Conv2d


class SpentWeight:
    """The shape of weights that are no longer here; whoever asks for more gets a KernelError."""

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
            f"weight {list(self.shape)}: expected the numbers; an executable has used them up (spend=True); build the "
            "program again"
        )


def take_weight(step: Conv1d | Conv2d) -> NDArray[Any]:
    """Return the weights of `step` and leave a SpentWeight in their place. Raises KernelError the second time."""
    weight = np.asarray(step.weight)
    object.__setattr__(step, "weight", SpentWeight(weight.shape))
    return weight
