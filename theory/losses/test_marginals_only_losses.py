"""The separating losses by counting on HALF, by hypothesis, and where they must not separate."""

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
    Setting,
    TableStudent,
    conditional_entropy,
    data_prediction,
    half_student,
    random_student,
)

HALF = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)


def test_half_student_is_the_posterior():
    kernel = half_student().kernel(half_student().at_t)
    truth = exact.reverse_kernel(MaskedProcess(2), HALF, 0.0, 0.5)
    seen = exact.forward_law(MaskedProcess(2), HALF, 0.5) > 0
    torch.testing.assert_close(kernel[seen], truth[seen])


def test_conditional_entropy_by_enumeration():
    for what, setting in claims.settings():
        laws = exact.reverse_kernel(setting.process, setting.q_0, 0.0, setting.t)
        expected = setting.mean(exact.entropy(laws), setting.t)
        assert conditional_entropy(setting) == pytest.approx(expected, abs=1e-12), what


@settings(max_examples=15)
@given(st.integers(0, 10**6), st.floats(0.1, 0.9))
def test_the_gap_is_the_divergence_of_the_joints_from_the_truth(seed, t):
    generator = torch.Generator().manual_seed(seed)
    q_0 = claims.random_law(generator, 4)
    setting = Setting(MaskedProcess(2), q_0, t / 2, t)
    joint = random_student(setting, seed)
    truth = exact.reverse_kernel(setting.process, q_0, 0.0, t)
    divergences = []
    for student in (joint, joint.product_of_marginals()):
        divergences.append(setting.mean(exact.kl(truth, student.kernel(student.at_t)), t))
    losses = [
        setting.mean(data_prediction(setting, student).total, t)
        for student in (joint, joint.product_of_marginals())
    ]
    assert losses[0] - losses[1] == pytest.approx(divergences[0] - divergences[1], abs=1e-11)


def test_a_student_that_ignores_its_latent_is_not_separated():
    setting = Setting(MaskedProcess(2), torch.full((4,), 0.25, dtype=torch.float64), 0.4, 0.8)
    student = random_student(setting, seed=1)
    collapsed = TableStudent(
        student.weights,
        student.at_u[:1].expand_as(student.at_u),
        student.at_t[:1].expand_as(student.at_t),
    )
    totals = [
        setting.mean(data_prediction(setting, s).total, 0.8)
        for s in (collapsed, collapsed.product_of_marginals())
    ]
    record = Record()
    record.exceeds(abs(totals[0] - totals[1]), 0.0, 1e-3, "collapsed")
    assert not record.holds


def test_a_linear_law_in_t_is_rejected_for_half():
    setting = Setting(MaskedProcess(2), HALF, 0.25, 0.5)
    joint = half_student()
    gap = setting.mean(data_prediction(setting, joint.product_of_marginals()).total, 0.5)
    gap -= setting.mean(data_prediction(setting, joint).total, 0.5)
    record = Record()
    record.equal(gap, 0.5 * math.log(2), 1e-3, "t log 2")
    assert not record.holds
