"""N TV_N above its limit, and refined grids that are worse, in other ways."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact.pairs import AbsorbingPair, UniformPair, absorbing_probabilities, absorbing_tv
from di4c.schedules import ExponentialSchedule, LinearSchedule
from theory.claim import Record
from theory.limits.non_monotone import COARSE, FINE, enclosed_n_tv
from theory.tools.enclosures import precision


def test_the_closed_forms_of_the_library_agree() -> None:
    pair = UniformPair(theta=0.9, schedule=ExponentialSchedule(rate=1.0, horizon=4.0))
    values = {n: n * pair.closed_form([4 * k / n for k in range(n + 1)]) for n in (16, 2048)}
    limit = pair.limit()
    assert limit is not None
    assert values[16] > limit + 0.3
    assert values[2048] == pytest.approx(limit, abs=0.02)
    absorbing = AbsorbingPair(schedule=LinearSchedule())
    assert (
        absorbing.closed_form([0.0, 0.7, 0.85, 1.0])
        > absorbing.closed_form([0.0, 0.7, 1.0]) + 0.0049
    )


levels = st.lists(st.integers(1, 99), min_size=3, max_size=7, unique=True)


@settings(max_examples=40)
@given(levels, st.fractions("0.05", "0.95", max_denominator=20))
def test_splitting_an_earlier_step_raises_the_second_branch(
    numbers: list[int], weight: Fraction
) -> None:
    """2 P(01) never falls when a step other than k = 1 is split; 1 - a - P(00) never rises."""
    alphas = [Fraction(1), *(Fraction(n, 100) for n in sorted(numbers, reverse=True))]
    for k in range(2, len(alphas) - 1):
        coarse = alphas[:k] + alphas[k + 1 :]
        assert (
            absorbing_probabilities(alphas, weight)[1] >= absorbing_probabilities(coarse, weight)[1]
        )
    for k in range(1, len(alphas) - 1):
        coarse = alphas[:k] + alphas[k + 1 :]
        assert (
            absorbing_probabilities(alphas, weight)[0] >= absorbing_probabilities(coarse, weight)[0]
        )


def test_the_second_branch_is_larger_on_both_grids() -> None:
    for alphas in (COARSE, FINE):
        neither, mixed = absorbing_probabilities(alphas, Fraction(1, 2))
        assert 2 * mixed == absorbing_tv(alphas, Fraction(1, 2)) > Fraction(1, 2) - neither


def test_the_opposite_order_is_rejected() -> None:
    record = Record()
    first, second = (absorbing_tv(alphas, Fraction(1, 2)) for alphas in (COARSE, FINE))
    record.at_most(second, first, "a refined grid is not worse")
    assert not record.holds


def test_enclosures_are_narrow() -> None:
    with precision():
        for num_steps in (1, 16):
            value = enclosed_n_tv(num_steps)
            assert float(value.rad()) < 1e-30
        rise = [float(enclosed_n_tv(n).mid()) for n in (1, 2, 4, 8, 16)]
    assert all(a < b for a, b in itertools.pairwise(rise))
    assert rise[0] == pytest.approx(0.45, abs=1e-3)
