"""The control variate on random laws, by sampling, and with wrong marginals."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from di4c.losses import consistency_loss
from theory.claim import Record
from theory.losses.control_variate.identity import instances, loss_of_draws, mean_and_variance
from theory.tools import oracle
from theory.tools.finite_mixture import as_dict, as_target, random_law, random_mixture


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.integers(1, 5), st.integers(1, 3), st.integers(2, 3))
def test_the_loss_is_cross_entropy_less_marginal_entropies(seed, num_latents, num_dims, num_states):
    generator = torch.Generator().manual_seed(seed)
    student = random_mixture(generator, num_latents, num_dims, num_states)
    law = random_law(generator, num_states**num_dims)
    terms = consistency_loss(student.as_student(), as_target(law, num_dims, num_states))
    r, p = as_dict(law, num_dims, num_states), student.literal()
    cross_entropy = -math.fsum(r[x] * math.log(p[x]) for x in r)
    entropies = sum(oracle.entropy(marginal) for marginal in oracle.marginals(r))
    assert terms.total.item() == pytest.approx(cross_entropy - entropies, abs=1e-12)


def test_sampled_mean_agrees_with_the_exact_loss():
    # 40000 draws, fixed seed; an error of 4.9 standard errors has chance 1e-6.
    generator = torch.Generator().manual_seed(8)
    student, law = random_mixture(generator, 3, 2, 3), random_law(generator, 9)
    chosen = torch.multinomial(law, 40000, replacement=True, generator=generator)
    draws = exact.states(2, 3)[chosen][:, None]
    values = loss_of_draws(draws, exact.marginals(law, 2, 3), student, True)
    expected = consistency_loss(student.as_student(), as_target(law, 2, 3)).total.item()
    error = (values.mean().item() - expected) / (values.std().item() / 200)
    assert abs(error) < 4.9


def test_marginals_of_another_law_are_rejected():
    # With the marginals of another law in the closed form, the loss is biased.
    _, law, student = next(iter(instances(count=1, seed=3)))
    other = random_law(torch.Generator().manual_seed(4), 4)
    draws = exact.states(2, 2)[:, None]
    values = loss_of_draws(draws, exact.marginals(other, 2, 2), student, True)
    r = as_dict(law, 2, 2)
    record = Record()
    split = oracle.kl(r, student.literal()) - oracle.total_correlation(r)
    record.equal(mean_and_variance(values, law)[0], split, 1e-12, "wrong marginals")
    assert not record.holds
