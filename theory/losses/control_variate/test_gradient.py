"""Gradients by finite differences and by hand, and formulas that must not pass."""

import pytest
import torch

from di4c import exact
from theory.claim import Record
from theory.losses.control_variate.gradient import (
    correlation_curvature,
    draw_gradients,
    gradient_variance,
    literal_gradients,
    two_clusters,
)
from theory.losses.control_variate.identity import instances
from theory.tools import oracle
from theory.tools.finite_mixture import FiniteMixture, as_dict


def test_the_mean_gradient_is_that_of_the_divergence():
    _, law, student = list(instances(count=2, seed=4))[1]
    first, second = draw_gradients(law, student, True)
    gradient = torch.tensordot(law, first, 1) + second
    logits, step = student.probs.log(), 1e-5

    def divergence(shift):
        shifted = FiniteMixture(student.weights, torch.softmax(logits + shift, -1))
        return oracle.kl(as_dict(law, 2, 2), shifted.literal())

    for index in [(0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 0)]:
        shift = torch.zeros_like(logits)
        shift[index] = step
        difference = (divergence(shift) - divergence(-shift)) / (2 * step)
        assert gradient[index].item() == pytest.approx(difference, abs=1e-9)


def test_dependent_pairs_drive_a_student_away_from_collapse():
    # Three equal bits have dependent pairs, unlike parity, so the curvature is not 0.
    repetition = torch.zeros(8, dtype=torch.float64)
    repetition[[0, 7]] = 0.5
    fair = torch.full((3, 2), 0.5, dtype=torch.float64)
    noise = torch.tensor([[[-1.0, 1.0]] * 3, [[1.0, -1.0]] * 3], dtype=torch.float64)
    weights = torch.full((2,), 0.5, dtype=torch.float64)
    # v is +1 or -1 with the sign of the latent, so Cov = 1 for each of three pairs at 000 and 111.
    assert correlation_curvature(repetition, fair, noise, weights) == pytest.approx(-3, abs=1e-4)


def test_gradient_variance_by_hand():
    # One fair bit, one latent: the gradient -(1[x = s] - 1/2) is +1/2 or -1/2 in both entries.
    student = FiniteMixture(
        torch.ones(1, dtype=torch.float64), torch.full((1, 1, 2), 0.5, dtype=torch.float64)
    )
    law = torch.tensor([0.5, 0.5], dtype=torch.float64)
    assert gradient_variance(law, literal_gradients(student, False)) == pytest.approx(0.5)
    assert gradient_variance(law, literal_gradients(student, True)) == 0


def test_a_formula_without_the_single_posterior_is_rejected():
    _, law, student = list(instances(count=3, seed=4))[2]
    record = Record()
    first, _ = draw_gradients(law, student, True)
    difference = (first - literal_gradients(student, False)).abs().max().item()
    record.equal(difference, 0.0, 1e-13, "wrong formula")
    assert not record.holds


def test_without_small_errors_the_control_variate_helps():
    student = two_clusters(0.2)
    equal_bits = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    for law in (student.law(), equal_bits):
        with_cv, without = (
            gradient_variance(law, draw_gradients(law, student, cv)[0]) for cv in (True, False)
        )
        assert with_cv < without
    assert exact.total_variation(student.law(), equal_bits) > 0.1
