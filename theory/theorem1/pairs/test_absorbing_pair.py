"""The absorbing pair in other ways: the exact engine, and the angles of the formula."""

import itertools
import math
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c.exact import product_composition, total_variation
from di4c.exact.pairs import AbsorbingPair, absorbing_probabilities, absorbing_tv
from di4c.schedules import LinearSchedule, uniform_grid
from theory.claim import Record
from theory.theorem1.pairs.absorbing_pair import sampler_law, two_point_law
from theory.tools import oracle
from theory.tools.pair_cases import rational_alphas


@settings(max_examples=25)
@given(
    st.integers(0, 2**31), st.floats(0.01, 0.99), st.integers(1, 6), st.booleans(), st.booleans()
)
def test_engine_agrees_on_any_grid(
    seed: int, weight: float, num_steps: int, to_zero: bool, from_prior: bool
) -> None:
    alphas = rational_alphas(random.Random(seed), num_steps, to_zero=to_zero)
    grid = [float(1 - alpha) for alpha in alphas]
    start = "prior" if from_prior else "q_T"
    pair = AbsorbingPair(weight=weight, schedule=LinearSchedule(), start=start)
    output = product_composition(pair.process, pair.data_law, grid, start)
    tv = float(total_variation(output, pair.data_law.reshape(-1)))
    assert pair.closed_form(grid) == pytest.approx(tv, abs=1e-14)


@given(st.integers(0, 2**31), st.floats(0.01, 0.99), st.integers(1, 20))
def test_angles(seed: int, weight: float, num_steps: int) -> None:
    """The rational evaluation is the product of squared cosines of angle differences."""
    alphas = [float(a) for a in rational_alphas(random.Random(seed), num_steps, to_zero=False)]
    phi = [math.atan(math.sqrt(weight / (1 - weight)) * (1 - a)) for a in alphas]
    cosines = [math.cos(b - a) ** 2 for a, b in itertools.pairwise(phi)]
    neither, mixed = absorbing_probabilities(alphas, weight)
    assert neither == pytest.approx((1 - weight) * math.prod(cosines), rel=1e-12)
    first = math.sin(phi[1]) ** 2
    assert mixed == pytest.approx((1 - weight) * first * math.prod(cosines[1:]), rel=1e-12)


def test_one_step_gives_independent_bits() -> None:
    """With weight 1/2 and one step from 00 the output is two independent fair bits."""
    law = sampler_law(Fraction(1, 2), [Fraction(1), Fraction(0)], from_prior=False)
    assert set(law.values()) == {Fraction(1, 4)}


def test_the_maximum_is_needed() -> None:
    """Each branch of the maximum is the larger one on some grid."""
    branches = set()
    for num_steps in (1, 8):
        alphas = [1 - Fraction(k, num_steps) for k in range(num_steps + 1)]
        neither, mixed = absorbing_probabilities(alphas, Fraction(1, 2))
        branches.add(Fraction(1, 2) - neither > 2 * mixed)
    assert branches == {True, False}


def test_the_upper_bound_is_the_limit_over_n() -> None:
    pair = AbsorbingPair(weight=0.5, schedule=LinearSchedule())
    for num_steps in (4, 8):
        bound = pair.upper_bound(uniform_grid(num_steps))
        assert bound == pytest.approx(pair.limit() / num_steps, rel=1e-12)


def test_the_lower_bound_by_hand() -> None:
    """Two equal bits have angles from 0 to pi / 4: 1/2 (1 - exp(-(pi / 4)^2 / 2))."""
    for start in ("q_T", "prior"):  # the same law for this schedule
        pair = AbsorbingPair(weight=0.5, schedule=LinearSchedule(), start=start)
        assert pair.lower_bound([0.0, 0.5, 1.0]) == pytest.approx(0.1326985, abs=1e-7)
        assert pair.upper_bound([0.0, 1.0]) == pytest.approx(0.5)  # the second term, exact here


def test_a_wrong_formula_is_rejected() -> None:
    """Without the branch 2 P(01) the formula fails at N = 1."""
    alphas = [Fraction(1), Fraction(0)]
    law = sampler_law(Fraction(1, 2), alphas, from_prior=False)
    tv = oracle.total_variation(law, two_point_law(Fraction(1, 2)))
    first_branch = Fraction(1, 2) - absorbing_probabilities(alphas, Fraction(1, 2))[0]
    record = Record()
    record.equal(tv, first_branch, 0, "first branch only")
    assert not record.holds
    assert tv == absorbing_tv(alphas, Fraction(1, 2))


@pytest.mark.parametrize("weight", [0.0, 1.0, -0.1, 1.5, float("nan")])
def test_bad_input_is_named(weight: float) -> None:
    with pytest.raises(ValueError, match=r"weight must lie in \(0, 1\)"):
        AbsorbingPair(weight=weight, schedule=LinearSchedule())
