"""Sources of the constants of a graph: tensors of a checkpoint, requested by name and shape."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import numpy as np

from zeroq_asr.errors import CheckpointError, UnsupportedModelError
from zeroq_asr.ir import Array


class TensorSource(Protocol):
    """Gives a graph builder its constants."""

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return the float32 tensor `name` of exactly this shape. Raises CheckpointError."""
        ...

    def discard(self, name: str) -> None:
        """Mark the tensor `name`, if there is one, as irrelevant for inference."""
        ...

    def finish(self) -> None:
        """Check that every tensor was used. Raises UnsupportedModelError when one was not."""
        ...


class CheckpointTensors:
    """The tensors of a state dict; it records which were used."""

    def __init__(self, tensors: Mapping[str, Array]) -> None:
        self._tensors = tensors
        self._unused = {name for name in tensors if not name.startswith("preprocessor.")}

    def take(self, name: str, shape: tuple[int, ...]) -> Array:
        """Return the float32 tensor `name` of exactly this shape. Raises CheckpointError."""
        array = self._tensors.get(name)
        if array is None:
            raise CheckpointError(f"tensor {name!r}: expected shape {list(shape)} as the config says, got none")
        if array.shape != shape or array.dtype != np.float32:
            raise CheckpointError(
                f"tensor {name!r}: expected shape {list(shape)} of float32 as the config says,"
                f" got {list(array.shape)} of {array.dtype}"
            )
        self._unused.discard(name)
        return array

    def discard(self, name: str) -> None:
        """Mark the tensor `name`, if there is one, as irrelevant for inference."""
        self._unused.discard(name)

    def finish(self) -> None:
        """Raise UnsupportedModelError when a tensor was not used: it belongs to a module that the config lacks."""
        if self._unused:
            raise UnsupportedModelError(
                f"the checkpoint has {len(self._unused)} tensor(s) that the config does not explain, such as"
                f" {min(self._unused)[:120]!r}; adapters and other additions are not supported"
            )
