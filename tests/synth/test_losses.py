"""The losses against closed forms, against torch.distributions, and by what they do at and near the optimum."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from synth import SynthError
from synth.losses import (
    CHANNEL_LOSSES,
    batch_statistics,
    channel_loss,
    kl,
    likeness,
    roughness,
    symmetric_kl,
    w2,
)

EPS = 1e-3


def statistics(seed: int, channels: int = 64) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    mean, mean_hat = (2 * torch.randn(channels, generator=generator, dtype=torch.float64) for _ in range(2))
    var, var_hat = (torch.rand(channels, generator=generator, dtype=torch.float64) * 3 + 1e-4 for _ in range(2))
    return mean, var, mean_hat, var_hat


@pytest.mark.parametrize("seed", [0, 1])
def test_kl_is_that_of_torch_with_the_remembered_normal_first(seed: int) -> None:
    mean, var, mean_hat, var_hat = statistics(seed)
    expected = kl_divergence(Normal(mean_hat, (var_hat + EPS).sqrt()), Normal(mean, (var + EPS).sqrt()))
    torch.testing.assert_close(kl(mean, var, mean_hat, var_hat, EPS), expected)
    backwards = kl_divergence(Normal(mean, (var + EPS).sqrt()), Normal(mean_hat, (var_hat + EPS).sqrt()))
    assert not torch.allclose(kl(mean, var, mean_hat, var_hat, EPS), backwards), "the order of the two matters"


@pytest.mark.parametrize("seed", [0, 1])
def test_symmetric_kl_is_the_mean_of_both_directions(seed: int) -> None:
    mean, var, mean_hat, var_hat = statistics(seed)
    both = kl(mean, var, mean_hat, var_hat, EPS) + kl(mean_hat, var_hat, mean, var, EPS)
    torch.testing.assert_close(symmetric_kl(mean, var, mean_hat, var_hat, EPS), both / 2)


def test_closed_forms_by_hand() -> None:
    """m = 1, s = 2 against m_hat = 0, s_hat = 1, no eps."""
    arguments = (torch.tensor([1.0]), torch.tensor([4.0]), torch.tensor([0.0]), torch.tensor([1.0]), 0.0)
    assert kl(*arguments).item() == pytest.approx(math.log(2) - 0.5 * (1 - (1 + 1) / 4))
    assert w2(*arguments).item() == pytest.approx(1 + 1)
    assert symmetric_kl(*arguments).item() == pytest.approx((4 + 1 / 4 - 2 + 1 * (1 / 4 + 1)) / 4)


@pytest.mark.parametrize("name", CHANNEL_LOSSES)
def test_zero_and_flat_at_the_optimum_positive_beside_it(name: str) -> None:
    _, _, mean_hat, var_hat = statistics(3)
    mean, var = mean_hat.clone().requires_grad_(), var_hat.clone().requires_grad_()
    loss = channel_loss(name)(mean, var, mean_hat, var_hat, EPS)
    assert loss.abs().max() < 1e-12
    for gradient in torch.autograd.grad(loss.sum(), (mean, var)):
        assert gradient.abs().max() < 1e-9
    for moved in (
        channel_loss(name)(mean + 0.1, var, mean_hat, var_hat, EPS),
        channel_loss(name)(mean, var * 1.1, mean_hat, var_hat, EPS),
    ):
        assert (moved > 0).all()


@pytest.mark.parametrize("name", CHANNEL_LOSSES)
def test_dead_channels_cost_nothing_and_give_finite_gradients(name: str) -> None:
    zero = torch.zeros(4, requires_grad=True)
    loss = channel_loss(name)(zero, zero, torch.zeros(4), torch.zeros(4), EPS)
    (gradient,) = torch.autograd.grad(loss.sum(), zero)
    assert loss.abs().max() < 1e-6 and torch.isfinite(gradient).all()


def test_one_sided_kl_spreads_out_what_it_cannot_match() -> None:
    """For a mean off by d, kl is least at s^2 = s_hat^2 + d^2; the symmetric one asks for clearly less."""
    s2 = torch.linspace(0.5, 4, 3501, dtype=torch.float64)
    one = torch.ones_like(s2)
    best = {f: s2[f(one, s2, 0 * one, one, 0.0).argmin()].item() for f in (kl, symmetric_kl, w2)}
    assert best[kl] == pytest.approx(2.0, abs=2e-3)
    assert best[symmetric_kl] == pytest.approx(math.sqrt(2), abs=2e-3)
    assert best[w2] == pytest.approx(1.0, abs=2e-3)


def test_statistics_and_their_gradient_equal_var_mean() -> None:
    generator = torch.Generator().manual_seed(0)
    base = torch.randn(3, 1, 50, 7, generator=generator) * 2 + 5
    for x in (base.permute(0, 3, 1, 2).squeeze(2), base.permute(0, 3, 1, 2).squeeze(2).contiguous()):
        ours, theirs = (x.detach().clone().requires_grad_() for _ in range(2))
        mean, var = batch_statistics(ours)
        expected_var, expected_mean = torch.var_mean(theirs, dim=(0, 2))
        torch.testing.assert_close(mean, expected_mean)
        torch.testing.assert_close(var, expected_var)
        torch.autograd.backward(mean.sin().sum() + (var * torch.arange(7)).sum())
        torch.autograd.backward(expected_mean.sin().sum() + (expected_var * torch.arange(7)).sum())
        torch.testing.assert_close(ours.grad, theirs.grad)


def test_statistics_gradient_in_double_precision() -> None:
    x = torch.randn(2, 3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(batch_statistics, (x,))


def test_unknown_loss_names_the_known_ones() -> None:
    with pytest.raises(SynthError, match="kl, symmetric-kl, w2, got 'l3'"):
        channel_loss("l3")


def test_roughness_is_the_mean_step_along_time() -> None:
    mel = torch.tensor([[[0.0, 1.0, -1.0], [2.0, 2.0, 2.0]]])
    assert roughness(mel).item() == pytest.approx((1 + 2 + 0 + 0) / 4)


def test_likeness_is_the_mean_squared_cosine_of_pairs() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(2, 5, 6, generator=generator)
    cosines = torch.stack([torch.nn.functional.cosine_similarity(a.T[:, None], a.T[None], dim=2) for a in x])
    pairs = [cosines[b, i, j] ** 2 for b in range(2) for i in range(6) for j in range(6) if i != j]
    assert likeness(x).item() == pytest.approx(float(torch.stack(pairs).mean()), rel=1e-5)
    assert likeness(x[:, :, :1].expand(2, 5, 6)).item() == pytest.approx(1, abs=1e-6)
    assert likeness(x[:, :, :1]).item() == pytest.approx(0, abs=1e-6)
