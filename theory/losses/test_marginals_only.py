"""Reverse rates by hand and by known formulas, and rates of other marginals that must not pass."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from di4c.processes import MaskedProcess, UniformProcess
from theory.claim import Record
from theory.losses.marginals_only import (
    JointModel,
    continuous_loss,
    flip_counts,
    forward_rates,
    loss_density,
    masked_step_law,
    model_pairs,
    path_divergences,
    rates_from_marginals,
    true_rates,
)
from theory.tools.finite_mixture import random_law
from theory.tools.oracle import independent, law_from


@settings(max_examples=25)
@given(st.integers(0, 10**6), st.floats(0.05, 0.95), st.booleans())
def test_posterior_marginals_give_the_true_rates(seed, t, masked):
    process = MaskedProcess(2) if masked else UniformProcess(2)
    q_0 = random_law(torch.Generator().manual_seed(seed), 4)
    marginals = exact.posterior_marginals(process, q_0, 0.0, t)
    torch.testing.assert_close(
        rates_from_marginals(process, marginals, t), true_rates(process, q_0, t)
    )


def test_masked_rates_by_hand():
    # Linear schedule: unmasking has rate 1/t, and a value appears with its marginal probability.
    process, q_0 = MaskedProcess(2), torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    rates = true_rates(process, q_0, 0.25)
    row = rates[8].reshape(3, 3)  # from (mask, mask)
    assert row[:, 2].tolist() == pytest.approx([4 * 0.3, 4 * 0.7, 0.0])
    assert row[2, :].tolist() == pytest.approx([4 * 0.4, 4 * 0.6, 0.0])
    assert row[:2, :2].abs().max() == 0


def test_the_masked_loss_is_the_weighted_cross_entropy():
    # The masked continuous-time ELBO is alpha' / (1 - alpha) E sum_d log p^d(x_0^d) over masked d.
    # It exceeds its minimum by the divergences of the marginals.
    _, joint, _ = next(iter(model_pairs(seed=5)))
    t = 0.4
    process, q_0 = joint.process, joint.q_0
    truth = exact.marginals(exact.reverse_kernel(process, q_0, 0.0, t), 2, 3)
    model = exact.marginals(joint.joint(t), 2, 3)
    law = exact.forward_law(process, q_0, t)
    expected = (law @ exact.kl(truth, model).sum(-1)).item() / t
    density = loss_density(
        true_rates(process, q_0, t), rates_from_marginals(process, model, t), law
    )
    assert density == pytest.approx(expected, abs=1e-13)


def test_forward_rates_are_the_derivative_of_the_transition():
    for process in (MaskedProcess(2), UniformProcess(3)):
        step = 1e-6
        slope = (process.transition(0.3, 0.3 + step) - torch.eye(3, dtype=torch.float64)) / step
        torch.testing.assert_close(slope, forward_rates(process, 0.3), rtol=1e-5, atol=1e-5)


def test_the_true_posterior_has_loss_0():
    process, q_0 = UniformProcess(2), torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)
    truth = JointModel(process, q_0, torch.zeros((), dtype=torch.float64), False)
    torch.testing.assert_close(truth.step(0.2, 0.6), exact.reverse_kernel(process, q_0, 0.2, 0.6))
    assert abs(path_divergences([truth], 3, 0.2, 0.8)[0]) < 1e-14
    assert abs(continuous_loss(truth, 0.2, 0.8)) < 1e-14


def test_a_masked_step_is_a_law():
    equal_bits = law_from([0.5, 0.0, 0.0, 0.5], 2, 2)
    for law in (equal_bits, independent(equal_bits)):
        step = masked_step_law(law, 0.25)
        assert math.fsum(step.values()) == pytest.approx(1)
        assert step[2, 2] == 0.75**2


def test_rates_of_other_marginals_are_rejected():
    _, joint, _ = next(iter(model_pairs(seed=6)))
    _, other, _ = next(iter(model_pairs(seed=7)))
    marginals = [exact.marginals(m.joint(0.5), 2, 3) for m in (joint, other)]
    rates = [rates_from_marginals(joint.process, m, 0.5) for m in marginals]
    record = Record()
    record.equal((rates[0] - rates[1]).abs().max().item(), 0.0, 1e-8, "other marginals")
    assert not record.holds
    assert flip_counts(2, 3).max() == 2
