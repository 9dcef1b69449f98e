"""Latents: their laws, stratification over a batch, and when a sampler draws new ones."""

import itertools

import pytest
import torch
from scipy import stats

from di4c.latents import (
    FiniteLatent,
    GaussianLatent,
    LatentPolicy,
    UniformLatent,
    draw_latents,
    latent_draws,
)
from di4c.rng import SampleGenerators
from tests.helpers.goodness_of_fit import P_VALUE, generator


@pytest.mark.parametrize("stratified", [False, True])
def test_continuous_latents_follow_their_law(stratified):
    options = {"stratified": stratified, "generator": generator()}
    uniform = draw_latents(UniformLatent((2,), torch.float64), 50_000, **options)
    assert uniform.shape == (50_000, 2)
    assert stats.kstest(uniform[:, 1].numpy(), "uniform").pvalue > P_VALUE
    gaussian = draw_latents(GaussianLatent((3,), torch.float64), 50_000, **options)
    assert gaussian.shape == (50_000, 3)
    assert stats.kstest(gaussian[:, 2].numpy(), "norm").pvalue > P_VALUE


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_gaussian_quantiles_are_finite_at_the_ends(dtype):
    ends = torch.tensor([0.0, 1 - torch.finfo(dtype).eps / 2], dtype=dtype)
    assert GaussianLatent((2,)).quantile(ends).isfinite().all()


@pytest.mark.parametrize("stratified", [False, True])
def test_finite_latents_follow_their_weights(stratified):
    support = torch.tensor([[0.0, 1.0], [2.0, 3.0], [4.0, 5.0]])
    weights = torch.tensor([0.2, 0.0, 0.8], dtype=torch.float64)
    law = FiniteLatent(support, weights)
    draws = draw_latents(law, 10_000, stratified=stratified, generator=generator())
    assert draws.shape == (10_000, 2)
    counts = [int((draws == value).all(-1).sum()) for value in support]
    assert counts[1] == 0
    if stratified:  # one draw in each of 10,000 cells: the count is exact up to rounding
        assert abs(counts[0] - 2_000) <= 1
    else:
        assert stats.binomtest(counts[0], 10_000, 0.2).pvalue > P_VALUE


def test_each_coordinate_is_stratified_over_the_batch():
    draws = draw_latents(
        UniformLatent((3,), torch.float64), 16, stratified=True, generator=generator()
    )
    cells = (draws * 16).floor().long()
    assert torch.equal(cells.sort(0).values, torch.arange(16)[:, None].expand(16, 3))
    assert not torch.equal(cells[:, 0], cells[:, 1])


def test_a_policy_draws_for_each_step_or_once():
    def three(policy):
        return list(itertools.islice(latent_draws(policy, 4, generator(), None), 3))

    first, second, third = three(LatentPolicy())
    assert not torch.equal(first, second)
    assert not torch.equal(second, third)
    first, second, third = three(LatentPolicy("fixed"))
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert first.shape == (4,)
    assert first.dtype == torch.float32
    assert three(None) == [None] * 3


def test_latents_that_are_passed_come_in_order():
    given = [torch.tensor([0.1, 0.2]), torch.tensor([0.3, 0.4])]
    assert list(latent_draws(given, 2, None, None)) == given


def test_bad_latents_are_refused():
    with pytest.raises(ValueError, match=r"redraw must be one of 'per_step', 'fixed'; got 'often'"):
        LatentPolicy("often")
    with pytest.raises(ValueError, match="support must hold at least one latent"):
        FiniteLatent(torch.zeros(0, 2))
    with pytest.raises(ValueError, match="weights must hold one entry for each latent"):
        FiniteLatent(torch.zeros(3), torch.ones(2) / 2)
    with pytest.raises(ValueError, match="weights must sum to 1"):
        FiniteLatent(torch.zeros(2), torch.tensor([0.5, 0.6]))
    with pytest.raises(ValueError, match="stratified=True ties the samples"):
        draw_latents(UniformLatent(), 2, stratified=True, generator=SampleGenerators(0, range(2)))
