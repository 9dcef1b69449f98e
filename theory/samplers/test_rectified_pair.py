"""Rectified pairs by the exact engine, at known values, and with a wrong posterior mean."""

import itertools
import random
from fractions import Fraction

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import exact
from di4c.processes import UniformProcess
from theory.samplers.rectified_pair import flow_row, kept, kept_limit, limit_tv, rectified_tv
from theory.theorem1.pairs.uniform_pair import symmetric_law
from theory.tools import oracle
from theory.tools.pair_cases import rational_alphas


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.floats(-1, 1), st.integers(1, 6), st.booleans())
def test_the_exact_engine_agrees_on_any_grid(
    seed: int, theta: float, num_steps: int, to_zero: bool
) -> None:
    """The steps of the library's flow, from every x_T at once."""
    alphas = rational_alphas(random.Random(seed), num_steps, to_zero=to_zero)
    process = UniformProcess(2)
    law = torch.tensor([1 + theta, 1 - theta, 1 - theta, 1 + theta], dtype=torch.float64) / 4
    x, rows = exact.states(2, 2), torch.eye(4, dtype=torch.float64)
    for s, t in reversed(list(itertools.pairwise([float(1 - a) for a in alphas]))):
        p_0 = exact.posterior_marginals(process, law, 0.0, t)
        rows = rows @ exact.product_law(process.flow(p_0, x, s, t))
    student = exact.product_law(exact.marginals(rows, 2, 2)).mean(0)
    found = float(exact.total_variation(student, law))
    expected = float(rectified_tv(Fraction(theta), alphas))
    assert found == pytest.approx(expected, abs=1e-13)


def test_the_flow_has_the_marginals_of_the_noise() -> None:
    """Each coordinate follows q_t on any grid, whatever the correlations."""
    law = oracle.law_from([Fraction(k, 20) for k in (1, 7, 0, 4, 8, 0)], 1, 6)
    alphas = [Fraction(1), Fraction(2, 3), Fraction(1, 5), Fraction(0)]
    rows = [flow_row(law, alphas, x) for x in law]
    assert {x: sum(row[x] for row in rows) / 6 for x in law} == law


def test_one_step_of_the_flow_gains_nothing() -> None:
    theta = Fraction(9, 10)
    assert rectified_tv(theta, [Fraction(1), Fraction(0)]) == theta / 2


def test_known_values_of_the_limits() -> None:
    assert float(kept_limit(Fraction(0))) == pytest.approx(0.36787944117144233)
    small = [Fraction(sign, 10**6) for sign in (1, -1)]
    assert all(abs(float(kept_limit(theta)) - 0.3678794) < 1e-5 for theta in small)
    assert float(kept_limit(Fraction(-1))) == 0
    assert float(kept_limit(Fraction(-(10**6) + 1, 10**6))) < 1e-3
    assert float(limit_tv(Fraction(1))) == pytest.approx(0.39606, abs=1e-5)


@settings(max_examples=40)
@given(st.fractions(-1, 1, max_denominator=30), st.integers(2, 40))
def test_rectification_never_hurts_on_uniform_grids(theta: Fraction, num_steps: int) -> None:
    alphas = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
    assert 0 <= kept(theta, alphas) <= 1
    assert rectified_tv(theta, alphas) <= abs(theta) / 2
    assert rectified_tv(theta, alphas) == rectified_tv(-theta, alphas)


def test_a_posterior_mean_without_its_normaliser_is_rejected() -> None:
    """The wrong mean is alpha (1 + theta)."""
    theta, alphas = Fraction(1, 2), [Fraction(1), Fraction(1, 2), Fraction(0)]
    law = symmetric_law(theta)
    mean = sum(p * (1 - 2 * x[0]) for x, p in flow_row(law, alphas, (0, 0)).items())
    # The first step keeps half of the noise, the second draws from the posterior mean.
    assert mean == kept(theta, alphas)
    assert mean != Fraction(1, 2) * Fraction(1, 2) * (1 + theta)
