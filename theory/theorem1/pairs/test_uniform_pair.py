"""The uniform pair in other ways: the exact engine, and the recursion of the correlation."""

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact import product_composition, total_variation
from di4c.exact.pairs import UniformPair, uniform_tv
from di4c.schedules import ExponentialSchedule, LinearSchedule, uniform_grid
from theory.claim import Record
from theory.theorem1.pairs.uniform_pair import closed_form, sampler_tv
from theory.tools.pair_cases import rational_alphas


@settings(max_examples=25)
@given(st.integers(0, 2**31), st.floats(-1, 1), st.integers(1, 6), st.booleans(), st.booleans())
def test_engine_agrees_on_any_grid(
    seed: int, theta: float, num_steps: int, to_zero: bool, from_prior: bool
) -> None:
    alphas = rational_alphas(random.Random(seed), num_steps, to_zero=to_zero)
    grid = [float(1 - alpha) for alpha in alphas]
    start = "prior" if from_prior else "q_T"
    pair = UniformPair(theta=theta, schedule=LinearSchedule(), start=start)
    output = product_composition(pair.process, pair.data_law, grid, start)
    tv = float(total_variation(output, pair.data_law.reshape(-1)))
    assert pair.closed_form(grid) == pytest.approx(tv, abs=1e-14)


@given(
    st.integers(0, 2**31),
    st.fractions(-1, 1, max_denominator=50),
    st.integers(1, 8),
    st.booleans(),
    st.booleans(),
)
def test_affine_map_of_the_correlation(
    seed: int, theta: Fraction, num_steps: int, to_zero: bool, from_prior: bool
) -> None:
    """E[s1 s2] after a step is a mean squared posterior mean; TV is half its error."""
    alphas = rational_alphas(random.Random(seed), num_steps, to_zero=to_zero)
    true = [theta * a * a for a in alphas]
    correlation = Fraction(0) if from_prior else true[-1]
    for k in range(num_steps, 0, -1):
        ratio = alphas[k] / alphas[k - 1]
        equal = ratio * (1 + true[k - 1]) / (1 + true[k])  # E[s_1 | s_1 = s_2 = 1 at t_k]
        unequal = ratio * (1 - true[k - 1]) / (1 - true[k])
        correlation = ((1 + correlation) * equal**2 - (1 - correlation) * unequal**2) / 2
    assert closed_form(theta, alphas, from_prior=from_prior) == abs(theta - correlation) / 2


@given(st.integers(0, 2**31), st.fractions(-1, 1, max_denominator=50), st.integers(1, 8))
def test_the_sign_of_theta_changes_nothing(seed: int, theta: Fraction, num_steps: int) -> None:
    alphas = rational_alphas(random.Random(seed), num_steps, to_zero=False)
    left = closed_form(theta, alphas, from_prior=False)
    assert left == closed_form(-theta, alphas, from_prior=False)


def test_the_prior_is_one_more_step_from_infinite_time() -> None:
    alphas = [Fraction(1), Fraction(2, 3), Fraction(1, 5)]
    with_step = closed_form(Fraction(1, 2), [*alphas, Fraction(0)], from_prior=False)
    assert closed_form(Fraction(1, 2), alphas, from_prior=True) == with_step


@pytest.mark.parametrize("wrong", ["missing factor 2", "w to the first power in alpha"])
def test_a_wrong_formula_is_rejected(wrong: str) -> None:
    theta, alphas = Fraction(1, 2), [Fraction(1), Fraction(1, 2), Fraction(1, 4)]
    power = 1 if wrong.startswith("w") else 2
    right = uniform_tv([theta * a**power for a in alphas]) * (1 if power == 1 else Fraction(1, 2))
    record = Record()
    record.equal(sampler_tv(theta, alphas, from_prior=False), right, 0, wrong)
    assert not record.holds


def test_no_cancellation_at_small_theta() -> None:
    """The float formula keeps 13 digits although the product differs from 1 by only 1e-16."""
    alphas = [Fraction(k, 10) for k in range(10, 0, -1)]
    theta = Fraction(1, 10**8)
    exact = float(closed_form(theta, alphas, from_prior=False))
    value = uniform_tv([float(theta) * float(a) ** 2 for a in alphas])
    assert value == pytest.approx(exact, rel=1e-13)


def test_the_lower_bound_by_hand() -> None:
    """(psi_0 - psi_N)^2 / (N sinh 2 psi_0) with the inverse of tanh in place of logarithms."""
    theta, alpha = 0.8, math.exp(-0.3)
    psi, last = math.atanh(theta), math.atanh(theta * alpha**2)
    pair = UniformPair(theta=theta, schedule=ExponentialSchedule())
    expected = (psi - last) ** 2 / (2 * math.sinh(2 * psi))
    assert pair.lower_bound([0.0, 0.1, 0.3]) == pytest.approx(expected, rel=1e-13)


@pytest.mark.parametrize("start", ["q_T", "prior"])
def test_the_bounds_are_exact_where_they_can_be(start: str) -> None:
    """One step at |theta| = 1; any number of steps of independent bits."""
    schedule = ExponentialSchedule()
    for theta, grid in ((1.0, [0.0, 1.0]), (-1.0, [0.0, 1.0]), (0.0, [0.0, 0.3, 1.0])):
        pair = UniformPair(theta=theta, schedule=schedule, start=start)
        assert pair.lower_bound(grid) == pytest.approx(pair.closed_form(grid), abs=1e-15)
        assert pair.best_tv(len(grid) - 1) == pytest.approx(pair.lower_bound(grid), abs=1e-15)
    assert pair.upper_bound([0.0, 0.5, 1.0]) == 0
    steep = UniformPair(theta=0.999, schedule=ExponentialSchedule(rate=9.0), start=start)
    assert steep.upper_bound([0.0, 1.0]) == 1  # a larger bound says nothing


def test_a_uniform_grid_may_be_rounded() -> None:
    pair = UniformPair(theta=0.5, schedule=LinearSchedule())
    grid = [0.1 * k for k in range(11)]
    assert grid != uniform_grid(10).tolist()
    assert pair.upper_bound(grid) == pytest.approx(pair.upper_bound(uniform_grid(10)), rel=1e-12)


@pytest.mark.parametrize("theta", [1.1, -1.1, float("nan")])
def test_bad_input_is_named(theta: float) -> None:
    with pytest.raises(ValueError, match=r"theta must lie in \[-1, 1\]"):
        UniformPair(theta=theta, schedule=LinearSchedule())


def test_no_best_grid_without_a_finite_psi() -> None:
    for theta in (0.0, 1.0):
        with pytest.raises(ValueError, match=r"theta must .*: use uniform_grid"):
            UniformPair(theta=theta, schedule=LinearSchedule()).best_grid(3)
        assert UniformPair(theta=theta, schedule=LinearSchedule()).best_grid(1).tolist() == [0, 1]
