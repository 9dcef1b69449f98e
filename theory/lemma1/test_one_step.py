"""Lemma 1 in other ways: known numbers, another small parameter, and mistakes that must fail."""

import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact import one_step_defect
from theory.claim import Record
from theory.lemma1 import one_step as lemma1
from theory.lemma1.one_step import defect, expansion, flipped, kappa
from theory.tools import oracle
from theory.tools.laws import rational_law, rational_rates
from theory.tools.power_series import Series


@given(st.integers(0, 10**6), st.sampled_from([(2, 2), (2, 3), (3, 2)]))
def test_expansion_in_the_redraw_probability(seed, shape):
    """Without power series: (K - P) / h^2 for one tiny rational h is Delta_x up to O(h)."""
    rng = random.Random(seed)
    law = rational_law(rng, *shape)
    num_states = shape[1]
    step = Fraction(1, 10**12)
    # uniform_kernel(1 / r) is the inverse of uniform_kernel(r): it goes back in time.
    earlier = oracle.noised(law, oracle.uniform_kernel(1 / (1 - step), num_states))
    x = rng.choice(list(law))
    row = oracle.reverse_row(earlier, oracle.uniform_kernel(1 - step, num_states), x)
    product = oracle.independent(row)
    rates = [
        [Fraction(1, num_states) - (u == v) for v in range(num_states)] for u in range(num_states)
    ]
    limit = defect(law, rates, x)
    for y in law:
        assert abs(float((row[y] - product[y]) / step**2 - limit[y])) < 1e-6


@given(st.integers(0, 10**6), st.sampled_from([(2, 2), (2, 3), (3, 2), (3, 3)]))
def test_defect_has_no_mass_and_no_marginals(seed, shape):
    """K and P have the same marginals, so all marginals of Delta_x are 0."""
    rng = random.Random(seed)
    law, rates = rational_law(rng, *shape), rational_rates(rng, shape[1])
    limit = defect(law, rates, rng.choice(list(law)))
    assert all(value == 0 for row in oracle.marginals(limit) for value in row.values())


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.sampled_from([(2, 3), (3, 2), (4, 2)]))
def test_independent_coordinates_have_no_defect(seed, shape):
    rng = random.Random(seed)
    law = oracle.independent(rational_law(rng, *shape))
    rates = rational_rates(rng, shape[1])
    assert not any(defect(law, rates, rng.choice(list(law))).values())
    vector = torch.tensor([float(p) for p in law.values()], dtype=torch.float64)
    rows = torch.tensor([[float(r) for r in row] for row in rates], dtype=torch.float64)
    assert float(one_step_defect(vector, rows).abs().max()) < 1e-13


def test_known_constant():
    """q = (2, 1, 1, 2) / 6, both flips at rate 1, x = 00: 2 (1/9 - 1/36) / (1/9) = 3/2."""
    law = oracle.law_from([Fraction(k, 6) for k in (2, 1, 1, 2)], 2, 2)
    flip = [[Fraction(-1), Fraction(1)], [Fraction(1), Fraction(-1)]]
    assert sum(map(abs, defect(law, flip, (0, 0)).values())) / 2 == Fraction(3, 2)


def test_series_divides_and_multiplies():
    exponential = Series((Fraction(1), Fraction(1), Fraction(1, 2)))
    assert 1 - exponential / exponential == Series((0, 0, 0))
    assert Series((1, 0, 0)) / exponential == Series((1, -1, Fraction(1, 2)))
    assert 2 * exponential - exponential == exponential
    with pytest.raises(ZeroDivisionError, match="leading coefficient"):
        exponential / Series((0, 1, 0))


def test_transposed_rates_are_rejected():
    """With the rates out of x instead of those into x, the comparison of the claim fails."""
    rng = random.Random(5)
    law, rates = rational_law(rng, 2, 3), rational_rates(rng, 3)
    wrong = defect(law, list(zip(*rates, strict=True)), (0, 1))
    record = Record()
    for y, value in expansion(law, rates, (0, 1)).items():
        record.equal(value.coefficients[2], wrong[y], 0, f"{y}")
    assert not record.holds


def test_other_constants_are_rejected(monkeypatch):
    """With kappa wrong by one part in 10,000, the identity and the limit both fail."""
    monkeypatch.setattr(lemma1, "kappa", lambda *args: kappa(*args) * 10_001 / 10_000)
    for verify in (lemma1.verify_mean, lemma1.verify_limit):
        record = Record()
        verify(record)
        assert not record.holds


def test_one_step_defect_needs_positive_laws():
    rates = torch.tensor([[-1.0, 1.0], [1.0, -1.0]], dtype=torch.float64)
    law = torch.tensor([0.5, 0.0, 0.0, 0.5], dtype=torch.float64)
    with pytest.raises(ValueError, match="law must be positive everywhere"):
        one_step_defect(law, rates)


def test_flipped():
    assert flipped((0, 1, 2), (0, 5), (2, 7)) == (5, 1, 7)
