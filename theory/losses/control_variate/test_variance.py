"""Variances by sampling and by known numbers, and a wrong sign that must not pass."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from theory.claim import Record
from theory.losses.control_variate.identity import instances, loss_of_draws
from theory.losses.control_variate.variance import (
    covariances,
    draw_variances,
    equal_bits,
    log_laws,
    three_states,
)
from theory.tools.finite_mixture import random_law


def test_sampled_variances():
    # 10^5 draws, fixed seed: the standard error is about 1 %, the tolerance 6 %.
    generator = torch.Generator().manual_seed(2)
    _, law, student = list(instances(count=2, seed=6))[1]
    chosen = torch.multinomial(law, 100_000, replacement=True, generator=generator)
    draws = exact.states(2, 2)[chosen][:, None]
    marginals = exact.marginals(law, 2, 2)
    sampled = [loss_of_draws(draws, marginals, student, cv).var().item() for cv in (True, False)]
    for found, expected in zip(sampled, draw_variances(law, student), strict=True):
        assert found == pytest.approx(expected, rel=0.06)


def test_three_states_are_equally_likely():
    student = three_states()
    assert student.law().tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0])
    f, g = log_laws(student)
    assert f[:3].tolist() == pytest.approx([-math.log(3)] * 3)
    assert g[:3].exp().tolist() == pytest.approx([4 / 9, 2 / 9, 2 / 9])


@settings(max_examples=25)
@given(st.integers(2, 6), st.floats(0.02, 0.48))
def test_equal_bits_multiply_the_variance_by_the_square_of_d_less_1(num_dims, ones):
    student = equal_bits(num_dims, ones)
    with_cv, without = draw_variances(student.law(), student)
    log_odds = math.log(ones / (1 - ones))
    assert without == pytest.approx(ones * (1 - ones) * log_odds**2, rel=1e-8)
    assert with_cv == pytest.approx((num_dims - 1) ** 2 * without, rel=1e-8, abs=1e-14)


def test_covariances_obey_cauchy_schwarz():
    for _, law, student in instances(count=10, seed=12):
        f, g, fg = covariances(law, student)
        assert 0 <= fg**2 <= f * g * (1 + 1e-12)


def test_a_wrong_sign_is_rejected():
    generator = torch.Generator().manual_seed(1)
    _, _, student = next(iter(instances(count=1, seed=3)))
    law = random_law(generator, 4)
    f, g, fg = covariances(law, student)
    record = Record()
    record.equal(draw_variances(law, student)[0], f + g + 2 * fg, 1e-11, "wrong sign")
    assert not record.holds
