"""Losses that tell joint laws apart: two equal bits, random students, a collapsed student."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from di4c.processes import MaskedProcess
from theory.claim import Record
from theory.losses import marginals_only_losses as claims
from theory.losses.marginals_only_losses import (
    NoisedData,
    TabulatedMixture,
    conditional_entropy,
    data_prediction,
    equal_bits_student,
    random_student,
)

EQUAL_BITS = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)


def test_the_student_of_two_equal_bits_is_the_posterior():
    kernel = equal_bits_student().kernel(equal_bits_student().at_t)
    truth = exact.reverse_kernel(MaskedProcess(2), EQUAL_BITS, 0.0, 0.5)
    seen = exact.forward_law(MaskedProcess(2), EQUAL_BITS, 0.5) > 0
    torch.testing.assert_close(kernel[seen], truth[seen])


def test_the_conditional_entropy_by_enumeration():
    for what, data in claims.noised_data():
        laws = exact.reverse_kernel(data.process, data.q_0, 0.0, data.t)
        expected = data.mean(exact.entropy(laws), data.t)
        assert conditional_entropy(data) == pytest.approx(expected, abs=1e-12), what


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_the_losses_differ_by_the_divergences_from_the_truth(seed, t):
    generator = torch.Generator().manual_seed(seed)
    q_0 = claims.random_law(generator, 4)
    data = NoisedData(MaskedProcess(2), q_0, t / 2, t)
    joint = random_student(data, seed)
    truth = exact.reverse_kernel(data.process, q_0, 0.0, t)
    divergences = []
    for student in (joint, joint.product_of_marginals()):
        divergences.append(data.mean(exact.kl(truth, student.kernel(student.at_t)), t))
    losses = [
        data.mean(data_prediction(data, student).total, t)
        for student in (joint, joint.product_of_marginals())
    ]
    assert losses[0] - losses[1] == pytest.approx(divergences[0] - divergences[1], abs=1e-11)


def test_a_student_that_ignores_its_latent_has_the_same_loss():
    data = NoisedData(MaskedProcess(2), torch.full((4,), 0.25, dtype=torch.float64), 0.4, 0.8)
    student = random_student(data, seed=1)
    collapsed = TabulatedMixture(
        student.weights,
        student.at_u[:1].expand_as(student.at_u),
        student.at_t[:1].expand_as(student.at_t),
    )
    totals = [
        data.mean(data_prediction(data, s).total, 0.8)
        for s in (collapsed, collapsed.product_of_marginals())
    ]
    record = Record()
    record.exceeds(abs(totals[0] - totals[1]), 0.0, 1e-3, "collapsed")
    assert not record.holds


def test_a_difference_linear_in_t_is_rejected():
    data = NoisedData(MaskedProcess(2), EQUAL_BITS, 0.25, 0.5)
    joint = equal_bits_student()
    gap = data.mean(data_prediction(data, joint.product_of_marginals()).total, 0.5)
    gap -= data.mean(data_prediction(data, joint).total, 0.5)
    record = Record()
    record.equal(gap, 0.5 * math.log(2), 1e-3, "t log 2")
    assert not record.holds
