"""A tiny convolutional network with BatchNorms that has seen data, for the tests of this folder."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from synth import BatchNormStatistics, SpectrogramSpec, SynthesisSettings

N_MELS = 12


def tiny_network(seed: int = 0) -> tuple[Callable[[Tensor], Mapping[str, Tensor]], tuple[BatchNormStatistics, ...]]:
    """(forward, batchnorms) of three conv-BatchNorm-ReLU layers whose statistics come from smooth, normalised data."""
    torch.manual_seed(seed)
    widths = (N_MELS, 16, 24, 16)
    convs = [nn.Conv1d(a, b, 5, padding=2) for a, b in itertools.pairwise(widths)]
    norms = [nn.BatchNorm1d(b, eps=1e-3, momentum=None) for b in widths[1:]]

    def walk(mel: Tensor) -> dict[str, Tensor]:
        values, x = {}, mel
        for number, (conv, norm) in enumerate(zip(convs, norms, strict=True)):
            values[f"conv{number}"] = conv(x)
            x = torch.relu(norm(values[f"conv{number}"]))
        return values

    with torch.no_grad():
        for _ in range(4):
            data = nn.functional.avg_pool1d(torch.randn(8, N_MELS, 216), 9, 1, 4)
            walk((data - data.mean(2, keepdim=True)) / data.std(2, keepdim=True))
    for module in (*convs, *norms):
        module.eval().requires_grad_(False)
    batchnorms = []
    for number, norm in enumerate(norms):
        assert norm.running_mean is not None and norm.running_var is not None
        mean, variance = norm.running_mean.numpy(), norm.running_var.numpy()
        batchnorms.append(BatchNormStatistics(f"conv{number}", mean, variance, norm.eps))
    return walk, tuple(batchnorms)


def tiny_settings(**changes: Any) -> SynthesisSettings:
    """Settings that take a fraction of a second."""
    values: dict[str, Any] = {
        "spec": SpectrogramSpec(4, N_MELS, 80),
        "batches": 2,
        "seed": 0,
        "loss": "kl",
        "init": "uniform",
        "lrs": (0.05,),
        "iterations": (30,),
        "betas": (0.9, 0.999),
        "schedule": "constant",
        "normalize": False,
        "early_stop": 0.0,
        "patience": 10,
    }
    return SynthesisSettings(**(values | changes))
