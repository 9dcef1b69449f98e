"""The latent's entropy by hypothesis, by optimisation, and with a smaller constant."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from theory.claim import Record
from theory.mixtures.latent_entropy import (
    equal_latents,
    information,
    repetition,
    shared_out,
)
from theory.tools import oracle
from theory.tools.finite_mixture import FiniteMixture, as_dict, random_mixture


@settings(max_examples=40)
@given(
    st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 4), st.floats(0.1, 20), st.booleans()
)
def test_bounds_on_random_mixtures(seed, num_latents, num_dims, spread, equal):
    generator = torch.Generator().manual_seed(seed)
    student = random_mixture(generator, num_latents, num_dims, 2, spread)
    if equal:
        student = FiniteMixture(equal_latents(num_latents), student.probs)
    correlation = exact.total_correlation(student.law(), num_dims, 2).item()
    entropy = exact.entropy(student.weights).item()
    assert -1e-12 <= correlation <= (num_dims - 1) * entropy + 1e-12


def test_information_of_a_noiseless_latent_is_its_entropy():
    weights = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    joint, single = information(repetition(weights, 3))
    entropy = exact.entropy(weights).item()
    assert joint == pytest.approx(entropy)
    assert single.tolist() == pytest.approx([entropy] * 3)


def test_no_two_latents_beat_the_bound_on_four_values():
    # Gradient descent on KL(repetition of 4 values || mixture of 2 equal latents), D = 2.
    target = repetition(equal_latents(4), 2).law()
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 2, 4, dtype=torch.float64, generator=generator).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.1)
    for _ in range(400):
        student = FiniteMixture(equal_latents(2), logits.softmax(-1))
        loss = exact.kl(target, student.law())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() == pytest.approx(math.log(2), abs=5e-3)
    assert loss.item() >= math.log(2)


def test_shared_out_is_a_mixture_with_uniform_marginals():
    student = shared_out(6, 3, 2)
    torch.testing.assert_close(student.marginals(), torch.full((2, 6), 1 / 6, dtype=torch.float64))
    assert student.law().sum().item() == pytest.approx(1)


def test_one_dimension_less_is_rejected():
    target = as_dict(repetition(equal_latents(3), 3).law(), 3, 3)
    record = Record()
    record.at_most(oracle.total_correlation(target), (3 - 2) * math.log(3), "(D - 2) H")
    assert not record.holds
