"""The settings of a synthesis: exactly those that affect the bytes of the result."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

from synth.errors import SynthError
from synth.types import SpectrogramSpec

LOSSES = ("kl", "symmetric-kl", "w2")
INITS = ("uniform", "gaussian", "smooth", "speech")
SCHEDULES = ("constant", "cosine")


@dataclass(frozen=True)
class SynthesisSettings:
    """Settings of one run. Raises SynthError for a value outside its range.

    spec: shape of a batch. batches: number of batches. seed: batch k depends on (seed, k) only.
    loss: one of LOSSES. init: one of INITS.
    lrs, iterations: batch k uses iterations[k % n] and lrs[(k // n) % len(lrs)], n = len(iterations), so that all
    pairs occur.
    betas: of Adam. schedule: one of SCHEDULES; "cosine" goes from lr to lr / 100.
    normalize: hold each mel bin of each utterance at mean 0 and standard deviation 1 over time, as a front end with
    per-feature normalisation does with speech. The gradient passes through the normalisation.
    early_stop: end a batch when the best loss fell by less than this fraction in the last `patience` steps; 0: never.
    lengths: batch k has lengths[k % n] frames; empty: every batch has spec.frames.
    smoothness: weight of mean |x_{t+1} - x_t| in the loss.
    diversity: weight in the loss of the similarity of frames (`synth.losses.likeness`) at values that the caller
    names, which are the outputs of attention.
    """

    spec: SpectrogramSpec
    batches: int
    seed: int
    loss: str
    init: str
    lrs: tuple[float, ...]
    iterations: tuple[int, ...]
    betas: tuple[float, float]
    schedule: str
    normalize: bool
    early_stop: float
    patience: int
    lengths: tuple[int, ...] = ()
    smoothness: float = 0.0
    diversity: float = 0.0

    def __post_init__(self) -> None:
        _require(1 <= self.batches <= 10_000, "batches", "1 to 10000", self.batches)
        _require(0 <= self.seed < 2**63, "seed", "0 to 2^63 - 1", self.seed)
        _require(self.loss in LOSSES, "loss", " | ".join(LOSSES), self.loss)
        _require(self.init in INITS, "init", " | ".join(INITS), self.init)
        _require(self.schedule in SCHEDULES, "schedule", " | ".join(SCHEDULES), self.schedule)
        _require(len(self.lrs) > 0 and all(0 < lr <= 100 for lr in self.lrs), "lr", "above 0, at most 100", self.lrs)
        steps_are_sane = len(self.iterations) > 0 and all(0 <= n <= 1_000_000 for n in self.iterations)
        _require(steps_are_sane, "iterations", "0 to 1000000", self.iterations)
        for frames in self.lengths:
            replace(self.spec, frames=frames)  # raises SynthError
        for name in ("smoothness", "diversity"):
            _require(0 <= getattr(self, name) <= 1000, name, "0 to 1000", getattr(self, name))
        betas_are_sane = len(self.betas) == 2 and all(0 <= beta < 1 for beta in self.betas)
        _require(betas_are_sane, "betas", "two numbers from 0 to below 1", self.betas)
        _require(0 <= self.early_stop < 1, "early_stop", "0 to below 1", self.early_stop)
        _require(1 <= self.patience <= 1_000_000, "patience", "1 to 1000000", self.patience)

    def batch_lr(self, batch: int) -> float:
        """Return the first learning rate of batch number `batch`."""
        return self.lrs[(batch // len(self.iterations)) % len(self.lrs)]

    def batch_iterations(self, batch: int) -> int:
        """Return the largest number of steps of batch number `batch`."""
        return self.iterations[batch % len(self.iterations)]

    def batch_spec(self, batch: int) -> SpectrogramSpec:
        """Return the shape of batch number `batch`."""
        return replace(self.spec, frames=self.lengths[batch % len(self.lengths)]) if self.lengths else self.spec

    @property
    def total_iterations(self) -> int:
        """Number of steps of all batches together if none stops early."""
        return sum(self.batch_iterations(batch) for batch in range(self.batches))

    def to_json(self) -> dict[str, Any]:
        """Return the settings as JSON types; `from_json` restores equal settings."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> SynthesisSettings:
        """Return the settings that `to_json` wrote. Raises SynthError for missing, unknown or invalid fields."""
        names = {item.name for item in fields(cls)}
        if not isinstance(data, Mapping) or set(data) != names:
            raise SynthError(f"synthesis settings: expected exactly the fields {', '.join(sorted(names))}, got others")
        checked = {name: _typed(name, data[name]) for name in names}
        return cls(**checked)


def _require(holds: bool, name: str, expected: str, got: object) -> None:
    if not holds:
        raise SynthError(f"synthesis settings: expected {name} {expected}, got {got!r}; change it")


def _typed(name: str, value: Any) -> Any:
    """Convert one JSON value to the type of its field. Raises SynthError."""
    if name == "spec":
        sizes = {item.name for item in fields(SpectrogramSpec)}
        if not isinstance(value, Mapping) or set(value) != sizes:
            raise SynthError(f"synthesis settings: expected spec with {', '.join(sorted(sizes))}, got {value!r}")
        return SpectrogramSpec(**value)
    if name in ("lrs", "betas", "iterations", "lengths"):
        whole = name in ("iterations", "lengths")
        if not isinstance(value, list | tuple) or len(value) > 1000:
            raise SynthError(f"synthesis settings: expected {name} as a short list, got {value!r}")
        return tuple(_number(name, item, whole) for item in value)
    if name == "normalize":
        if not isinstance(value, bool):
            raise SynthError(f"synthesis settings: expected {name} true or false, got {value!r}")
        return value
    if name in ("loss", "init", "schedule"):
        if not isinstance(value, str):
            raise SynthError(f"synthesis settings: expected {name} as text, got {value!r}")
        return value
    return _number(name, value, whole=name not in ("early_stop", "smoothness", "diversity"))


def _number(name: str, value: Any, whole: bool) -> int | float:
    sane = isinstance(value, int if whole else int | float) and not isinstance(value, bool)
    # A JSON integer may be too large for a float.
    if not sane or abs(value) >= 2**63 or not math.isfinite(value):
        raise SynthError(f"synthesis settings: expected {name} {'whole' if whole else 'finite'}, got {value!r}")
    return int(value) if whole else float(value)
