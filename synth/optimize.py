"""Optimize a batch of spectrograms until the input statistics of every BatchNorm match its running statistics.

    x* = arg min_x sum_i mean_c D(N(m_hat_i, s_hat_i), N(m_i(x), s_i(x)))      (Kim et al. 2021, equation 2)

The model is a function `forward(mel [B, n_mels, T]) -> {value name: tensor [B, C, T']}`.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable, Generator, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from synth.errors import SynthError
from synth.losses import batch_statistics, channel_loss, likeness, roughness
from synth.settings import SynthesisSettings
from synth.start import start
from synth.types import BatchNormStatistics, Float64, StepRecord, SyntheticBatch

Forward = Callable[[Tensor], Mapping[str, Tensor]]
FINAL_LR_FRACTION = 0.01
"""Last learning rate of the cosine schedule, relative to the first."""


def synthesize_batch(
    forward: Forward,
    batchnorms: Sequence[BatchNormStatistics],
    settings: SynthesisSettings,
    batch: int,
    device: str = "cpu",
    diverse: Sequence[str] = (),
) -> Generator[StepRecord, None, SyntheticBatch]:
    """Make batch number `batch`; yield a StepRecord for the start and after every step; return the finished batch.

    The result depends on the model, `settings` and `batch` only, not on earlier batches. On a CPU with a fixed number
    of threads it is reproducible to the bit. batchnorms: the statistics to match. diverse: the values that
    `settings.diversity` applies to.
    Raises SynthError: no BatchNorm, a value that `forward` does not return or that has the wrong shape, a loss that is
    not finite.

    >>> finished = yield from synthesize_batch(...)        # or: run(synthesize_batch(...), on_record)
    """
    measure = _measure(forward, batchnorms, settings, device, diverse)
    steps = settings.batch_iterations(batch)
    first = start(settings.init, settings.batch_spec(batch), settings.seed, batch)
    x = torch.tensor(first, device=device, requires_grad=True)
    optimizer = torch.optim.Adam([x], lr=settings.batch_lr(batch), betas=settings.betas, foreach=False)
    stop = _EarlyStop(settings.early_stop, settings.patience)
    totals: list[float] = []
    losses_start: Float64 | None = None
    step = 0
    while True:
        lr = learning_rate(settings, batch, step)
        mel, total, batchnorm_losses = measure(x, step < steps)
        value = _finite_loss(total, batch, step)
        totals.append(value)
        losses = batchnorm_losses.detach().double().cpu().numpy()
        losses_start = losses if losses_start is None else losses_start
        last = step >= steps or stop.should_stop(value)
        yield StepRecord(batch, step, steps, value, losses, 0.0 if last else lr, mel[0].cpu().numpy(), last)
        if last:
            return SyntheticBatch(mel.cpu().numpy(), np.asarray(totals), losses_start, losses)
        for group in optimizer.param_groups:
            group["lr"] = lr
        (x.grad,) = torch.autograd.grad(total, x)
        optimizer.step()
        step += 1


def run(
    steps: Generator[StepRecord, None, SyntheticBatch], on_record: Callable[[StepRecord], None] | None = None
) -> SyntheticBatch:
    """Run `synthesize_batch` to its end, pass every record to `on_record`, and return the finished batch."""
    while True:
        try:
            record = next(steps)
        except StopIteration as finished:
            result: SyntheticBatch = finished.value
            return result
        if on_record is not None:
            on_record(record)


def learning_rate(settings: SynthesisSettings, batch: int, step: int) -> float:
    """Return the learning rate of the update after `step` of n steps.

    constant: lr.  cosine: lr (f + (1 - f)(1 + cos(pi step / n)) / 2), f = FINAL_LR_FRACTION.
    """
    peak = settings.batch_lr(batch)
    steps = settings.batch_iterations(batch)
    if settings.schedule == "constant" or steps == 0:
        return peak
    wave = 0.5 * (1.0 + math.cos(math.pi * min(step, steps) / steps))
    return peak * (FINAL_LR_FRACTION + (1.0 - FINAL_LR_FRACTION) * wave)


def normalize_features(mel: Tensor) -> Tensor:
    """Return (x - mean) / (std + 1e-5) over time per bin and utterance [B, n_mels, T], unbiased std; differentiable."""
    centred = mel - mel.mean(dim=2, keepdim=True)
    return centred / (centred.std(dim=2, keepdim=True) + 1e-5)


def _finite_loss(total: Tensor, batch: int, step: int) -> float:
    """Return the total loss as a number. Raises SynthError if it is not finite."""
    value = float(total.detach())
    if not math.isfinite(value):
        raise SynthError(
            f"batch {batch}, step {step}: expected a finite loss, got {value}; "
            "try a smaller --lr, or the model may have extreme weights"
        )
    return value


class _EarlyStop:
    """Stops when the best loss fell by less than `fraction` of itself within the last `patience` steps; 0: never."""

    def __init__(self, fraction: float, patience: int) -> None:
        self._fraction = fraction
        self._best: deque[float] = deque(maxlen=patience + 1)

    def should_stop(self, loss: float) -> bool:
        self._best.append(min(loss, self._best[-1]) if self._best else loss)
        if self._fraction == 0.0 or len(self._best) < (self._best.maxlen or 0):
            return False
        return self._best[0] - self._best[-1] < self._fraction * self._best[0]


def _measure(
    forward: Forward,
    batchnorms: Sequence[BatchNormStatistics],
    settings: SynthesisSettings,
    device: str,
    diverse: Sequence[str],
) -> Callable[[Tensor, bool], tuple[Tensor, Tensor, Tensor]]:
    """Return measure(x, differentiate) -> (mel detached, total loss, losses [BatchNorms])."""
    if not batchnorms:
        raise SynthError(
            "synthesis: expected at least one BatchNorm to match, the model has none; use real calibration data"
        )
    loss = channel_loss(settings.loss)
    remembered = [(n, torch.tensor(n.mean, device=device), torch.tensor(n.var, device=device)) for n in batchnorms]

    def measure(x: Tensor, differentiate: bool) -> tuple[Tensor, Tensor, Tensor]:
        with torch.set_grad_enabled(differentiate):
            mel = normalize_features(x) if settings.normalize else x
            values = forward(mel)
            parts = []
            for norm, mean_hat, var_hat in remembered:
                mean, var = batch_statistics(_value_of(norm.name, values, norm.channels))
                parts.append(loss(mean, var, mean_hat, var_hat, norm.eps).mean())
            batchnorm_losses = torch.stack(parts)
            total = batchnorm_losses.sum()
            if settings.smoothness > 0:
                total = total + settings.smoothness * roughness(mel)
            if settings.diversity > 0 and diverse:
                alike = torch.stack([likeness(_value_of(name, values)) for name in diverse])
                total = total + settings.diversity * alike.mean()
            return mel.detach(), total, batchnorm_losses

    return measure


def _value_of(name: str, values: Mapping[str, Tensor], channels: int | None = None) -> Tensor:
    if name not in values:
        raise SynthError(f"value {name!r}: expected it among the values that `forward` returns, got none")
    value = values[name]
    if value.ndim != 3 or channels not in (None, value.shape[1]):
        raise SynthError(f"value {name!r}: expected shape [B, {channels or 'C'}, T], got {tuple(value.shape)}")
    return value
