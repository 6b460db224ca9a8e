"""The loop on a tiny network: the loss of every BatchNorm falls, and the same seed gives the same bits."""

from __future__ import annotations

import itertools
from collections.abc import Mapping

import numpy as np
import pytest
import torch
from support.synth_tiny import N_MELS, tiny_network, tiny_settings
from torch import Tensor

from synth import BatchNormStatistics, StepRecord, SynthError
from synth.losses import likeness
from synth.optimize import learning_rate, run, synthesize_batch
from synth.start import start


@pytest.mark.parametrize("loss", ["kl", "symmetric-kl", "w2"])
@pytest.mark.parametrize("init, normalize", [("uniform", False), ("smooth", True)])
def test_the_loss_of_every_batchnorm_falls(loss: str, init: str, normalize: bool) -> None:
    forward, batchnorms = tiny_network()
    settings = tiny_settings(loss=loss, init=init, normalize=normalize, iterations=(60,))
    batch = run(synthesize_batch(forward, batchnorms, settings, 0))
    assert (batch.batchnorm_losses_end < batch.batchnorm_losses_start).all()
    assert batch.losses[-1] < 0.35 * batch.losses[0]
    assert batch.losses[-1] == pytest.approx(batch.batchnorm_losses_end.sum(), rel=1e-5)


def test_the_result_has_the_statistics_that_the_last_loss_claims() -> None:
    """An independent computation: var_mean and the formula, from the returned spectrogram."""
    forward, batchnorms = tiny_network()
    batch = run(synthesize_batch(forward, batchnorms, tiny_settings(), 1))
    values = forward(torch.tensor(batch.mel))
    total = 0.0
    for norm in batchnorms:
        var, mean = torch.var_mean(values[norm.name].double(), dim=(0, 2))
        s2, s2_hat = var + norm.eps, torch.tensor(norm.var).double() + norm.eps
        distance = (torch.tensor(norm.mean).double() - mean) ** 2
        total += (0.5 * (s2 / s2_hat).log() - 0.5 * (1 - (s2_hat + distance) / s2)).mean().item()
    assert batch.losses[-1] == pytest.approx(total, rel=1e-4)


def test_records_tell_the_whole_story() -> None:
    forward, batchnorms = tiny_network()
    settings = tiny_settings(iterations=(5,), lrs=(0.03, 0.06))
    records: list[StepRecord] = []
    batch = run(synthesize_batch(forward, batchnorms, settings, 1), records.append)
    assert [record.step for record in records] == [0, 1, 2, 3, 4, 5]
    assert [record.last for record in records] == [False] * 5 + [True]
    assert {record.lr for record in records[:-1]} == {0.06} and records[-1].lr == 0.0
    np.testing.assert_array_equal(batch.losses, [record.total for record in records])
    np.testing.assert_array_equal(records[0].example, start("uniform", settings.spec, 0, 1)[0])
    np.testing.assert_array_equal(records[-1].example, batch.mel[0])
    np.testing.assert_array_equal(records[0].batchnorm_losses, batch.batchnorm_losses_start)
    with pytest.raises(ValueError, match="read-only"):
        batch.mel[0, 0, 0] = 1


def test_bitwise_reproducible_whatever_ran_before() -> None:
    forward, batchnorms = tiny_network()
    settings = tiny_settings(init="speech", normalize=True, schedule="cosine")
    first = run(synthesize_batch(forward, batchnorms, settings, 1))
    torch.manual_seed(1234)  # the global generator has no say
    run(synthesize_batch(forward, batchnorms, settings, 0))
    again = run(synthesize_batch(forward, batchnorms, settings, 1))
    assert first.mel.tobytes() == again.mel.tobytes() and first.losses.tobytes() == again.losses.tobytes()
    other = run(synthesize_batch(forward, batchnorms, tiny_settings(seed=1), 1))
    assert not np.array_equal(first.mel, other.mel)


def test_works_inside_no_grad_and_leaves_the_mode_alone() -> None:
    forward, batchnorms = tiny_network()
    with torch.no_grad():
        steps = synthesize_batch(forward, batchnorms, tiny_settings(iterations=(3,)), 0)
        next(steps)
        assert not torch.is_grad_enabled()
        batch = run(steps)
    assert batch.losses[-1] < batch.losses[0]


def test_normalised_batches_are_normalised_at_every_step() -> None:
    forward, batchnorms = tiny_network()
    records: list[StepRecord] = []
    run(synthesize_batch(forward, batchnorms, tiny_settings(normalize=True, iterations=(6,)), 0), records.append)
    for record in records:
        np.testing.assert_allclose(record.example.mean(axis=1), 0, atol=1e-5)
        np.testing.assert_allclose(record.example.std(axis=1, ddof=1), 1, atol=1e-3)


def test_early_stop_ends_when_nothing_improves() -> None:
    forward, batchnorms = tiny_network()
    settings = tiny_settings(iterations=(2000,), early_stop=0.02, patience=5, schedule="constant")
    batch = run(synthesize_batch(forward, batchnorms, settings, 0))
    assert 5 < batch.losses.size - 1 < 1500
    kept = np.minimum.accumulate(batch.losses)
    assert kept[-6] - kept[-1] < 0.02 * kept[-6]
    assert kept[-7] - kept[-2] >= 0.02 * kept[-7], "stopped at the first chance, not earlier"


def test_no_iterations_means_the_start_itself() -> None:
    forward, batchnorms = tiny_network()
    batch = run(synthesize_batch(forward, batchnorms, tiny_settings(iterations=(0,)), 0))
    np.testing.assert_array_equal(batch.mel, start("uniform", tiny_settings().spec, 0, 0))
    assert batch.losses.shape == (1,)


def test_cosine_falls_from_the_peak_to_a_hundredth() -> None:
    settings = tiny_settings(schedule="cosine", lrs=(0.2,), iterations=(10,))
    rates = [learning_rate(settings, 0, step) for step in range(11)]
    assert rates[0] == pytest.approx(0.2) and rates[-1] == pytest.approx(0.002)
    assert all(a > b for a, b in itertools.pairwise(rates))


def test_paper_grid_gives_4500_steps() -> None:
    settings = tiny_settings(batches=20, lrs=(0.03, 0.04, 0.05, 0.06), iterations=(200, 250))
    assert settings.total_iterations == 4500
    pairs = [(settings.batch_lr(k), settings.batch_iterations(k)) for k in range(8)]
    assert len(set(pairs)) == 8, "every learning rate meets every number of iterations"


def test_lengths_come_in_turn() -> None:
    forward, batchnorms = tiny_network()
    settings = tiny_settings(lengths=(30, 50), iterations=(1,), batches=3)
    shapes = [run(synthesize_batch(forward, batchnorms, settings, k)).mel.shape for k in range(3)]
    assert shapes == [(4, N_MELS, 30), (4, N_MELS, 50), (4, N_MELS, 30)]


def test_smoothness_makes_neighbouring_frames_closer() -> None:
    forward, batchnorms = tiny_network()
    rough, smooth = (
        run(synthesize_batch(forward, batchnorms, tiny_settings(smoothness=weight), 0)) for weight in (0.0, 10.0)
    )
    assert np.abs(np.diff(smooth.mel)).mean() < 0.7 * np.abs(np.diff(rough.mel)).mean()
    assert smooth.losses[-1] > smooth.batchnorm_losses_end.sum(), "the prior is part of what is minimised"


def test_diversity_makes_frames_less_alike() -> None:
    forward, batchnorms = tiny_network()
    settings = [tiny_settings(diversity=weight) for weight in (0.0, 100.0)]
    same, other = (run(synthesize_batch(forward, batchnorms, each, 0, diverse=["conv2"])) for each in settings)
    alike = [float(likeness(forward(torch.tensor(batch.mel))["conv2"])) for batch in (same, other)]
    assert alike[1] < 0.8 * alike[0]
    with pytest.raises(SynthError, match="elsewhere"):
        run(synthesize_batch(forward, batchnorms, settings[1], 0, diverse=["elsewhere"]))


def test_what_cannot_work_is_refused_with_a_sentence() -> None:
    forward, batchnorms = tiny_network()
    with pytest.raises(SynthError, match="at least one BatchNorm"):
        run(synthesize_batch(forward, (), tiny_settings(), 0))
    stranger = BatchNormStatistics("elsewhere", batchnorms[0].mean, batchnorms[0].var, 1e-3)
    with pytest.raises(SynthError, match=r"'elsewhere'.*got none"):
        run(synthesize_batch(forward, (stranger,), tiny_settings(), 0))
    wrong = BatchNormStatistics("conv0", batchnorms[1].mean, batchnorms[1].var, 1e-3)
    with pytest.raises(SynthError, match=r"expected shape \[B, 24, T\]"):
        run(synthesize_batch(forward, (wrong,), tiny_settings(), 0))

    def explode(mel: Tensor) -> Mapping[str, Tensor]:
        return {"conv0": torch.full((1, batchnorms[0].channels, 4), float("inf")) * mel.sum()}

    with pytest.raises(SynthError, match="batch 0, step 0: expected a finite loss"):
        run(synthesize_batch(explode, batchnorms[:1], tiny_settings(), 0))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"batches": 0}, "batches 1 to"),
        ({"seed": -1}, "seed 0 to"),
        ({"loss": "l2"}, "loss kl"),
        ({"lrs": ()}, "lr above 0"),
        ({"lrs": (float("nan"),)}, "lr above 0"),
        ({"iterations": (-1,)}, "iterations 0 to"),
        ({"betas": (0.9, 1.0)}, "betas"),
        ({"early_stop": 1.0}, "early_stop"),
        ({"patience": 0}, "patience"),
        ({"schedule": "step"}, "schedule constant"),
        ({"init": "zeros"}, "init uniform"),
    ],
)
def test_settings_out_of_their_domain(changes: dict[str, object], message: str) -> None:
    with pytest.raises(SynthError, match=message):
        tiny_settings(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"var": [-1.0]},
        {"var": [float("nan")]},
        {"mean": [float("inf")]},
        {"mean": [0.0, 0.0]},
        {"eps": 0.0},
        {"mean": []},
    ],
)
def test_damaged_batchnorms_are_refused(changes: dict[str, object]) -> None:
    good: dict[str, object] = {"name": "bn", "mean": [0.0], "var": [1.0], "eps": 1e-3}
    BatchNormStatistics(**good)  # type: ignore[arg-type]
    with pytest.raises(SynthError, match="BatchNorm at 'bn'"):
        BatchNormStatistics(**(good | changes))  # type: ignore[arg-type]


def test_number_of_mel_bins_is_the_settings_business() -> None:
    assert start("speech", tiny_settings().spec, 0, 0).shape[1] == N_MELS
