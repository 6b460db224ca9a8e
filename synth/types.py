"""Data types of synthesis: BatchNorm statistics, shapes, step records and finished batches.

All classes are frozen and their arrays are read-only. The axis order is [B, n_mels, T] throughout.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from synth.errors import SynthError

Float32 = npt.NDArray[np.float32]
Float64 = npt.NDArray[np.float64]


def read_only(array: npt.ArrayLike, dtype: type[Any]) -> npt.NDArray[Any]:
    """Return a read-only, C-contiguous copy of `array` in `dtype`."""
    result = np.array(array, dtype=dtype, order="C")
    result.flags.writeable = False
    return result


@dataclass(frozen=True, eq=False)
class BatchNormStatistics:
    """The running statistics of one BatchNorm: mean and variance of its input over the training data.

    name: the value that the BatchNorm reads, a key of what `forward` returns. mean, var: float32 [C], var >= 0.
    eps > 0: the eps of this BatchNorm. Raises SynthError: shapes differ, not finite, negative variance, eps <= 0.
    """

    name: str
    mean: Float32
    var: Float32
    eps: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "mean", read_only(self.mean, np.float32))
        object.__setattr__(self, "var", read_only(self.var, np.float32))
        where = f"BatchNorm at {self.name!r}"
        if self.mean.ndim != 1 or self.mean.size == 0 or self.mean.shape != self.var.shape:
            raise SynthError(
                f"{where}: expected mean and var of one shape [C], got {self.mean.shape} and {self.var.shape}; "
                "is the checkpoint damaged?"
            )
        if not (np.isfinite(self.mean).all() and np.isfinite(self.var).all() and (self.var >= 0).all()):
            raise SynthError(
                f"{where}: expected finite running statistics and no negative variance; the checkpoint is damaged or "
                "the training diverged"
            )
        if not (np.isfinite(self.eps) and self.eps > 0):
            raise SynthError(f"{where}: expected eps > 0, got {self.eps}; is the checkpoint damaged?")

    @property
    def channels(self) -> int:
        """Number of channels C."""
        return int(self.mean.size)


@dataclass(frozen=True)
class SpectrogramSpec:
    """The shape of one batch of log-mel spectrograms, float32 [batch_size, n_mels, frames]. Raises SynthError."""

    batch_size: int
    n_mels: int
    frames: int

    def __post_init__(self) -> None:
        for name, low, high in (("batch_size", 1, 4096), ("n_mels", 1, 4096), ("frames", 8, 100_000)):
            value = getattr(self, name)
            if not (isinstance(value, int) and low <= value <= high):
                raise SynthError(f"spectrogram: expected {name} from {low} to {high}, got {value!r}; change it")

    @property
    def shape(self) -> tuple[int, int, int]:
        """(batch_size, n_mels, frames)."""
        return (self.batch_size, self.n_mels, self.frames)


@dataclass(frozen=True, eq=False)
class StepRecord:
    """The state of the optimisation at one step, before its update.

    batch: number of the batch, from 0. step: 0 is the start; `steps`, the last, is the result. total: the minimised
    loss, which is the sum of the BatchNorm losses and the priors. batchnorm_losses: float64 [BatchNorms], in execution
    order. lr: learning rate of the update that follows, 0 if there is none. example: float32 [n_mels, T], the first
    spectrogram of the batch as the model reads it. last: whether this is the result of the batch.
    """

    batch: int
    step: int
    steps: int
    total: float
    batchnorm_losses: Float64
    lr: float
    example: Float32
    last: bool

    def __post_init__(self) -> None:
        object.__setattr__(self, "batchnorm_losses", read_only(self.batchnorm_losses, np.float64))
        object.__setattr__(self, "example", read_only(self.example, np.float32))


@dataclass(frozen=True, eq=False)
class SyntheticBatch:
    """One finished batch.

    mel: float32 [B, n_mels, T]. losses: float64 [steps + 1], the total before each step and that of the result.
    batchnorm_losses_start, batchnorm_losses_end: float64 [BatchNorms]. Raises SynthError for other shapes.
    """

    mel: Float32
    losses: Float64
    batchnorm_losses_start: Float64
    batchnorm_losses_end: Float64

    def __post_init__(self) -> None:
        object.__setattr__(self, "mel", read_only(self.mel, np.float32))
        for name in ("losses", "batchnorm_losses_start", "batchnorm_losses_end"):
            object.__setattr__(self, name, read_only(getattr(self, name), np.float64))
        if self.mel.ndim != 3 or self.losses.ndim != 1 or self.losses.size == 0:
            raise SynthError(
                f"synthetic batch: expected mel [B, n_mels, T] and at least one loss, got {self.mel.shape} and "
                f"{self.losses.shape}"
            )
        start, end = self.batchnorm_losses_start.shape, self.batchnorm_losses_end.shape
        if start != end or len(start) != 1:
            raise SynthError(
                f"synthetic batch: expected one loss per BatchNorm at the start and at the end, got {start} and {end}"
            )
