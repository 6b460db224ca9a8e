"""The batches of the training: a curriculum over corpus shards."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zeroq_asr.models.configs.presets import N_MELS
from zeroq_recipes.voice_commands.corpus import read_shard, training_shards
from zeroq_recipes.voice_commands.training_recipes import Stage

Example = tuple[NDArray[np.float16], list[int]]


@dataclass(frozen=True)
class Batch:
    """mel float32 [B, 64, T], tokens int64 [B, S], both zero padded; their lengths frames and letters, int64 [B]."""

    mel: NDArray[np.float32]
    frames: NDArray[np.int64]
    tokens: NDArray[np.int64]
    letters: NDArray[np.int64]


def collate(items: list[Example]) -> Batch:
    """Return the utterances as a batch, padded to a common length that is a multiple of 16 frames."""
    frames = np.array([len(features) for features, _ in items])
    tokens = [row for _, row in items]
    letters = np.array([len(row) for row in tokens])
    mel = np.zeros((len(items), N_MELS, -(-int(frames.max()) // 16) * 16), dtype=np.float32)
    padded = np.zeros((len(items), int(letters.max())), dtype=np.int64)
    for row, (features, _) in enumerate(items):
        mel[row, :, : len(features)] = features.T
        padded[row, : len(tokens[row])] = tokens[row]
    return Batch(mel, frames.astype(np.int64), padded, letters.astype(np.int64))


def mask_spectrogram(batch: Batch, rng: np.random.Generator) -> None:
    """Apply a light SpecAugment in place: zero two bands of up to 6 mel bins and two gaps of up to 8 frames."""
    for row, frames in enumerate(batch.frames):
        for _ in range(2):
            width, start = rng.integers(0, 7), rng.integers(0, N_MELS - 6)
            batch.mel[row, start : start + width] = 0
            gap, begin = rng.integers(0, 9), rng.integers(0, max(int(frames) - 8, 1))
            batch.mel[row, :, begin : begin + gap] = 0


def stage_at(stages: tuple[Stage, ...], step: int, total: int) -> int:
    """Return the index of the stage of step >= 0; steps from ``total`` on belong to the refinement."""
    return max(index for index, stage in enumerate(stages) if step >= round(stage.start * total))


class Curriculum:
    """The batch of every step. It depends on (stages, seed, step, total) only, so training can resume at any step.

    ``encode`` turns a text into token ids; ``waiting`` is called while a shard does not exist yet.
    """

    def __init__(
        self,
        folder: Path,
        stages: tuple[Stage, ...],
        encode: Callable[[str], list[int]],
        seed: int,
        total: int,
        waiting: Callable[[str], None],
    ) -> None:
        self._folder, self._stages, self._encode = folder, stages, encode
        self._seed, self._total, self._waiting = seed, total, waiting
        self._stage = -1
        self._items: list[Example] = []
        self._epoch = -1
        self._order: list[NDArray[np.int64]] = []

    def at(self, step: int) -> Batch:
        """Return the batch of one step; wait until the corpus process has written the shards that it needs."""
        number = stage_at(self._stages, step, self._total)
        stage = self._stages[number]
        if number != self._stage:
            self._items = list(self._load(stage))
            self._stage, self._epoch = number, -1
        per_epoch = len(self._items) // stage.batch
        epoch, position = divmod(step - round(stage.start * self._total), per_epoch)
        if epoch != self._epoch:
            self._order, self._epoch = self._shuffle(stage, epoch), epoch
        batch = collate([self._items[index] for index in self._order[position]])
        if stage.masking:
            mask_spectrogram(batch, np.random.default_rng([self._seed, step]))
        return batch

    def _load(self, stage: Stage) -> Iterator[Example]:
        names = [spec.name for spec in training_shards() if spec.name.startswith(stage.shards)]
        for name in names:
            while not (self._folder / f"{name}.json").exists():
                self._waiting(name)
                time.sleep(2)
            for features, text in read_shard(self._folder, name):
                yield features, self._encode(text)

    def _shuffle(self, stage: Stage, epoch: int) -> list[NDArray[np.int64]]:
        """Return the batches of an epoch: a random order, sorted by length within pools of 50 batches, then shuffled.

        Batches have little padding and are still random.
        """
        rng = np.random.default_rng([self._seed, self._stage, epoch])
        order = rng.permutation(len(self._items))
        lengths = np.array([len(features) for features, _ in self._items])
        pool = 50 * stage.batch
        order = np.concatenate(
            [
                part[np.argsort(lengths[part], kind="stable")]
                for part in (order[i : i + pool] for i in range(0, len(order), pool))
            ]
        )
        batches = [order[i : i + stage.batch] for i in range(0, len(order) - stage.batch + 1, stage.batch)]
        return [batches[index] for index in rng.permutation(len(batches))]
