"""Our float graph beside NeMo's own modules: log-probabilities of single utterances and of one padded batch."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from zeroq_asr.adapters import FloatModel
from zeroq_asr.runtime.float_executor import FloatExecutor

LENGTHS = (333, 200, 57)


@contextmanager
def one_thread() -> Iterator[None]:
    """One thread, so that torch adds in the same order for NeMo and for us.

    A deep network of random weights makes rounding grow: NeMo's own float32 is 8e-3 away from its float64 on 15x5, and
    so is ours. What the two models mean is compared in float64, where nothing is left to luck.
    """
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def nemo_log_probs(model: Any, mel: torch.Tensor, lengths: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    with torch.no_grad():
        encoded, out_lengths = model.encoder(audio_signal=mel, length=lengths)
        return model.decoder(encoder_output=encoded).transpose(1, 2), out_lengths


def our_log_probs(model: FloatModel, mel: torch.Tensor, lengths: torch.Tensor | None = None) -> torch.Tensor:
    with torch.no_grad():
        return torch.log_softmax(FloatExecutor(model.graph).run(mel, lengths)["logits"], dim=1)


def worst_difference(reference: Any, ours: FloatModel, features: int = 64, lengths: tuple[int, ...] = LENGTHS) -> float:
    """The largest log-probability difference over single utterances and one padded batch, inside the true lengths."""
    torch.manual_seed(1)
    batch = torch.zeros(len(lengths), features, max(lengths))
    worst = 0.0
    for row, length in enumerate(lengths):
        mel = torch.randn(1, features, length)
        batch[row, :, :length] = mel
        batch[row, :, length:] = 7.0  # what lies behind the end must not matter
        expected, _ = nemo_log_probs(reference, mel, torch.tensor([length]))
        got = our_log_probs(ours, mel)
        assert got.shape == expected.shape
        assert float(expected.std()) > 0.1, "the random model says nothing, the comparison would prove nothing"
        worst = max(worst, float((expected - got).abs().max()))
    expected, ends = nemo_log_probs(reference, batch.clone(), torch.tensor(lengths))
    got = our_log_probs(ours, batch, torch.tensor(lengths))
    for row, end in enumerate(ends.tolist()):
        worst = max(worst, float((expected[row, :, :end] - got[row, :, :end]).abs().max()))
    return worst
