"""The recipe of each shipped model: tokens, learning rate schedule and curriculum."""

from __future__ import annotations

import math
from dataclasses import dataclass

from zeroq_asr.errors import ConfigError


@dataclass(frozen=True)
class Stage:
    """A stage of the curriculum: the fraction of ``steps`` at which it starts, shards (name prefixes), batch size."""

    start: float
    shards: tuple[str, ...]
    batch: int
    masking: bool


@dataclass(frozen=True)
class TrainingRecipe:
    """How one model is trained.

    ``pieces`` is the size of its SentencePiece vocabulary, 0 for letters. ``peak`` is the highest learning rate of
    ``steps`` optimiser steps. ``refine`` further steps follow, with another warm-up and ``refine_peak`` times that
    rate.
    """

    name: str
    pieces: int
    attention: bool
    steps: int
    refine: int
    peak: float
    warm_up: int
    stages: tuple[Stage, ...]
    refine_peak: float = 0.4

    def learning_rate(self, step: int) -> float:
        """Return the learning rate of ``step``.

        Linear warm-up, then peak * (1 + cos(pi * progress)) / 2 down to 0 at ``steps``; the same for the refinement.
        """
        total, peak = self.steps, self.peak
        if step >= total:
            step, total, peak = step - total, max(self.refine, 1), peak * self.refine_peak
        if step < self.warm_up:
            return peak * (step + 1) / self.warm_up
        progress = (step - self.warm_up) / max(total - self.warm_up, 1)
        return peak * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))


_REFINED = (
    Stage(0.0, ("short",), 64, False),
    Stage(0.06, ("short0", "clean"), 32, False),
    Stage(0.32, ("short0", "clean", "mixed"), 32, True),
    Stage(1.0, ("clean", "mixed", "flite0"), 32, True),
    Stage(1.25, ("clean", "mixed", "flite"), 32, True),
)
# Attention learns its alignment on short phrases. The harder voices start early enough for a single cosine schedule.
_AT_ONCE = (
    Stage(0.0, ("short",), 64, False),
    Stage(0.08, ("short0", "clean"), 32, False),
    Stage(0.22, ("short0", "clean", "mixed"), 32, True),
    Stage(0.4, ("clean", "mixed", "flite"), 32, True),
)

RECIPES: dict[str, TrainingRecipe] = {
    recipe.name: recipe
    for recipe in (
        TrainingRecipe("quartznet-voice-1m", 0, False, 12000, 6500, 4e-3, 300, _REFINED),
        TrainingRecipe("jasper-voice-1m", 0, False, 10000, 8000, 2e-3, 500, _AT_ONCE, refine_peak=0.75),
        TrainingRecipe("conformer-voice-2m", 128, True, 10000, 0, 1.5e-3, 1000, _AT_ONCE),
        TrainingRecipe("fastconformer-voice-2m", 256, True, 11000, 0, 1.5e-3, 1000, _AT_ONCE),
    )
}


def recipe_of(name: str) -> TrainingRecipe:
    """Return the recipe of a shipped model. Raises ConfigError for another name."""
    if name not in RECIPES:
        raise ConfigError(f"model: expected one of {', '.join(RECIPES)}, got {name!r}")
    return RECIPES[name]
