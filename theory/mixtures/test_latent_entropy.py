"""The entropy bound on random mixtures, by optimisation, and with a constant that is too small."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from theory.claim import Record
from theory.mixtures.latent_entropy import copied_latent, equal_latents, information, shared_out
from theory.tools import oracle
from theory.tools.finite_mixture import FiniteMixture, as_dict, random_mixture


@settings(max_examples=40)
@given(
    st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 4), st.floats(0.1, 20), st.booleans()
)
def test_random_mixtures_obey_the_bound(seed, num_latents, num_dims, spread, equal):
    generator = torch.Generator().manual_seed(seed)
    student = random_mixture(generator, num_latents, num_dims, 2, spread)
    if equal:
        student = FiniteMixture(equal_latents(num_latents), student.probs)
    correlation = exact.total_correlation(student.law(), num_dims, 2).item()
    entropy = exact.entropy(student.weights).item()
    assert -1e-12 <= correlation <= (num_dims - 1) * entropy + 1e-12


def test_a_copied_latent_is_known_from_each_coordinate():
    weights = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64)
    joint, single = information(copied_latent(weights, 3))
    entropy = exact.entropy(weights).item()
    assert joint == pytest.approx(entropy)
    assert single.tolist() == pytest.approx([entropy] * 3)


def test_no_two_latents_beat_the_bound_on_four_values():
    """The best mixture of 2 equally likely latents, found by gradient descent, reaches log 2.

    The target repeats one of 4 values in both coordinates.
    """
    target = copied_latent(equal_latents(4), 2).law()
    generator = torch.Generator().manual_seed(1)
    logits = torch.randn(2, 2, 4, dtype=torch.float64, generator=generator).requires_grad_()
    optimiser = torch.optim.Adam([logits], lr=0.3)
    for _ in range(150):
        student = FiniteMixture(equal_latents(2), logits.softmax(-1))
        loss = exact.kl(target, student.law())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() == pytest.approx(math.log(2), abs=5e-3)
    assert loss.item() >= math.log(2)


def test_latents_that_share_the_values_out_have_uniform_marginals():
    student = shared_out(6, 3, 2)
    torch.testing.assert_close(student.marginals(), torch.full((2, 6), 1 / 6, dtype=torch.float64))
    assert student.law().sum().item() == pytest.approx(1)


def test_a_bound_with_one_dimension_less_is_rejected():
    target = as_dict(copied_latent(equal_latents(3), 3).law(), 3, 3)
    record = Record()
    record.at_most(oracle.total_correlation(target), (3 - 2) * math.log(3), "(D - 2) H")
    assert not record.holds
