"""Stratified latents on random mixtures and by sampling."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.claim import Record
from theory.losses.latents.jensen_bias import bias, product_bias, random_draws
from theory.losses.latents.stratified_latents import strata, stratified_bias, systematic_bias

_VALUE = st.tuples(st.integers(1, 9), st.floats(1e-3, 1.0))


@settings(max_examples=40)
@given(st.lists(_VALUE, min_size=2, max_size=4), st.integers(1, 6))
def test_the_bias_is_at_most_that_of_independent_latents(values, num_latents):
    total = sum(w for w, _ in values)
    draw = [(w / total, y) for w, y in values]
    assert stratified_bias(draw, num_latents) <= bias(draw, num_latents) + 1e-14


@settings(max_examples=40)
@given(
    st.lists(
        st.lists(_VALUE, min_size=1, max_size=3),
        min_size=2,
        max_size=3,
    )
)
def test_any_laws_have_at_most_the_bias_of_their_average(strata_values):
    # The theorem holds for any laws of the Y_j, not only for those of strata.
    draws = [[(w / sum(v for v, _ in values), y) for w, y in values] for values in strata_values]
    average = [(w / len(draws), y) for draw in draws for w, y in draw]
    assert product_bias(draws) <= product_bias([average] * len(draws)) + 1e-13


def test_the_strata_average_to_the_whole_law():
    for _, draw in random_draws(10, seed=1):
        for num_latents in (1, 3, 7):
            cells = strata(draw, num_latents)
            for cell in cells:
                assert math.fsum(w for w, _ in cell) == pytest.approx(1)
            total = math.fsum(w * y for cell in cells for w, y in cell) / num_latents
            assert total == pytest.approx(math.fsum(w * y for w, y in draw))


@pytest.mark.parametrize("systematic", [False, True])
def test_the_bias_by_sampling(systematic):
    # 200000 batches of 3, fixed seed; an error of 4.9 standard errors has chance 1e-6.
    draw = [(0.3, 0.1), (0.45, 0.8), (0.25, 0.3)]
    generator = torch.Generator().manual_seed(3)
    offsets = torch.rand(200_000, 3, dtype=torch.float64, generator=generator)
    latents = (torch.arange(3) + (offsets[:, :1] if systematic else offsets)) / 3
    edges = torch.tensor([0.3, 0.75], dtype=torch.float64)
    values = torch.tensor([0.1, 0.8, 0.3], dtype=torch.float64)
    likelihoods = values[torch.searchsorted(edges, latents, right=True)]
    estimates = -likelihoods.mean(1).log() + math.log(0.03 + 0.36 + 0.075)
    expected = systematic_bias(draw, 3) if systematic else stratified_bias(draw, 3)
    error = (estimates.mean().item() - expected) / (estimates.std().item() / 200_000**0.5)
    assert abs(error) < 4.9


def test_the_reversed_inequality_is_rejected():
    _, draw = next(iter(random_draws(1, seed=7)))
    record = Record()
    record.at_most(bias(draw, 3), stratified_bias(draw, 3), "reversed")
    assert not record.holds
