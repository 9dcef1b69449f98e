"""The data term with other laws than the claims use, and formulas that must be rejected."""

import math
from fractions import Fraction

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from di4c.likelihood import DenseMixture
from di4c.losses import Target, data_loss
from theory.claim import Record
from theory.losses.control_variate import data_term
from theory.losses.control_variate.data_term import (
    hidden_data_loss,
    minimiser,
    slope,
    two_mode_loss,
)

SHARES = st.fractions(Fraction(1, 20), Fraction(19, 20), max_denominator=40)


@given(st.integers(2, 64), SHARES, SHARES, st.fractions(0, 1, max_denominator=20))
def test_the_minimiser_is_the_only_zero_of_the_slope(num_dims, w, marginal, alpha):
    best = minimiser(num_dims, w, marginal, alpha)
    if 0 < best < 1:
        assert slope(num_dims, w, marginal, alpha, best) == 0
        assert slope(num_dims, w, marginal, alpha, best / 2) < 0
        assert slope(num_dims, w, marginal, alpha, (1 + best) / 2) > 0
    elif best <= 0:
        # The loss rises with the weight of the mode, so it falls towards weight 0.
        assert slope(num_dims, w, marginal, alpha, Fraction(1, 10**6)) > 0


@given(st.integers(2, 64), SHARES, st.fractions(0, 1, max_denominator=20))
def test_exact_marginals_keep_the_minimiser(num_dims, w, alpha):
    assert minimiser(num_dims, w, w, alpha) == w


def test_known_values():
    """D = 64, w = 0.5, w' = 0.495: 0.18 at alpha = 1, 0.4902 at 0.5, 0.4945 at 0.1."""
    data_and_teacher = (64, Fraction(1, 2), Fraction(495, 1000))
    for alpha, expected in (
        (Fraction(1), 0.18),
        (Fraction(1, 2), 0.4902),
        (Fraction(1, 10), 0.4945),
    ):
        assert float(minimiser(*data_and_teacher, alpha)) == pytest.approx(expected, abs=5e-5)


def test_without_the_control_variate_the_minimiser_is_right():
    """-log p alone is least at the weight of the data, whatever the teacher's marginals are."""
    weights = torch.linspace(0.01, 0.99, 99, dtype=torch.float64)
    losses = []
    for e in weights.tolist():
        log_probs = torch.tensor([[1.0, 0.0], [0.0, 1.0]], dtype=torch.float64).log()
        log_probs = log_probs[None, :, None].expand(2, -1, 8, -1)
        student = DenseMixture(log_probs, torch.tensor([1 - e, e]).double().log())
        x_0 = torch.tensor([[0], [1]]).expand(-1, 8)
        target = Target.from_samples(x_0[:, None])
        terms = data_loss(student, target, control_variate=False)
        losses.append(float(terms.total @ torch.tensor([0.7, 0.3], dtype=torch.float64)))
    assert float(weights[torch.tensor(losses).argmin()]) == pytest.approx(0.3)


def test_the_loss_by_hand():
    """D = 2, both weights 1/2: alpha (2 - 1) (-log 2) + 2 KL(teacher || 1/2)."""
    kl = 0.2 * math.log(0.4) + 0.8 * math.log(1.6)
    assert two_mode_loss(2, 0.5, 0.8, 0.5, math.log(0.5)).item() == pytest.approx(
        -0.5 * math.log(2) + 2 * kl
    )


@pytest.mark.parametrize(
    "verify", [data_term.verify_minimiser, data_term.verify_finite_data], ids=lambda f: f.__name__
)
def test_a_wrong_number_of_dimensions_is_rejected(monkeypatch, verify):
    """The factor D - 1 replaced by D in what the library is compared with."""
    monkeypatch.setattr(
        data_term, "minimiser", lambda d, w, m, a: (d * m - a * d * w) / (d - a * d + 1)
    )
    monkeypatch.setattr(
        data_term, "hidden_data_loss", lambda row, d, a, log: hidden_data_loss(row, d + 1, a, log)
    )
    record = Record()
    verify(record)
    assert not record.holds
