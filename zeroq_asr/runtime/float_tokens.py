"""The best token ids of a float model, with the same interface as the integer executor."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
import torch

from zeroq_asr.ir.types import Graph
from zeroq_asr.ops.frames import count_frames
from zeroq_asr.runtime.float_executor import FloatExecutor

Features = npt.NDArray[np.float32]
Ids = npt.NDArray[np.int32]

_BATCH_FRAMES = 6000
"""Frames of a padded batch: enough work per call within little memory."""


class FloatTokens:
    """Computes the best ids of a float graph in padded batches of utterances of similar length.

    It sets the number of torch threads of this process to `threads`.
    """

    def __init__(self, graph: Graph, threads: int) -> None:
        torch.set_num_threads(threads)
        self._graph = graph
        self._executor = FloatExecutor(graph)

    def tokens(self, features: Sequence[Features]) -> list[Ids]:
        """features: float32 [n_mels, T_i] each -> token ids int32 [T'_i] each, in order: the lowest id on ties."""
        ids: list[Ids] = [np.zeros(0, dtype=np.int32)] * len(features)
        for batch in batches_by_length([mel.shape[1] for mel in features], _BATCH_FRAMES):
            for index, row in zip(batch, self._batch([features[i] for i in batch]), strict=True):
                ids[index] = row
        return ids

    def log_probs(self, mel: Features) -> npt.NDArray[np.float32]:
        """mel: float32 [n_mels, T] -> log softmax of the logits over the vocabulary, float32 [T', V + 1]."""
        (output,) = self._graph.outputs
        with torch.inference_mode():
            logits = self._executor.run(torch.tensor(mel)[None])[output][0]
            found: npt.NDArray[np.float32] = torch.log_softmax(logits, dim=0).T.contiguous().cpu().numpy()
        return found

    def _batch(self, features: Sequence[Features]) -> list[Ids]:
        lengths = [mel.shape[1] for mel in features]
        padded = np.zeros((len(features), features[0].shape[0], max(lengths)), dtype=np.float32)
        for row, mel in zip(padded, features, strict=True):
            row[:, : mel.shape[1]] = mel
        (output,) = self._graph.outputs
        with torch.inference_mode():
            logits = self._executor.run(torch.from_numpy(padded), torch.tensor(lengths))[output]
            best = logits.argmax(dim=1).to(torch.int32).cpu().numpy()  # [B, T'], the lowest id on ties
        frames = [count_frames(self._graph, length)[output] for length in lengths]
        return [row[:count].copy() for row, count in zip(best, frames, strict=True)]


def batches_by_length(lengths: Sequence[int], most_frames: int) -> list[list[int]]:
    """Return the indices in batches, shortest utterance first, each a single one or count * longest <= most_frames."""
    batches: list[list[int]] = []
    for index in sorted(range(len(lengths)), key=lambda i: lengths[i]):
        if batches and (len(batches[-1]) + 1) * lengths[index] <= most_frames:
            batches[-1].append(index)
        else:
            batches.append([index])
    return batches
