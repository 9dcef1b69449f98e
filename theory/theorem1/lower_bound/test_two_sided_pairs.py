"""The two-sided bounds: the inequalities of their proof, and wrong bounds that must fail."""

import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from di4c.exact.pairs import AbsorbingPair, MaskedPair, UniformPair
from di4c.schedules import ArccosSchedule, ExponentialSchedule, LinearSchedule, uniform_grid
from theory.claim import Record
from theory.theorem1.lower_bound.two_sided_pairs import (
    SMOOTH_SCHEDULES,
    absorbing_pairs,
    masked_pairs,
    uniform_pairs,
)
from theory.tools.pair_cases import enumerated_tv, random_grid


@given(st.floats(-20, 20))
def test_inequalities_of_the_proof(x: float) -> None:
    assert math.cosh(x) >= 1 + x * x / 2 - 1e-15
    assert math.log(math.cosh(x)) <= x * x / 2 + 1e-15
    assert math.cos(x / 13) ** 2 <= math.exp(-((x / 13) ** 2)) + 1e-15  # |x / 13| < pi / 2


@given(st.integers(2, 10**6), st.floats(1e-6, 5))
def test_concavity_of_tanh(k: int, x: float) -> None:
    assert math.tanh(k * x) * (k - 1) <= math.tanh((k - 1) * x) * k * (1 + 1e-14)


def test_bounds_are_of_order_one_over_n() -> None:
    """N times the lower bound stays positive; N times the upper bound tends to lim N TV_N."""
    pairs = [
        *masked_pairs(SMOOTH_SCHEDULES),
        *uniform_pairs(SMOOTH_SCHEDULES, (0.3, 0.8)),
        *absorbing_pairs(SMOOTH_SCHEDULES),
    ]
    checked = 0
    for pair in pairs:
        num_steps, limit = 2000, pair.limit()
        grid = uniform_grid(num_steps, pair.schedule.horizon).tolist()
        lower, upper = pair.lower_bound(grid), pair.upper_bound(grid)
        assert lower is not None
        assert upper is not None
        if limit is None:  # from the uniform prior TV_N does not tend to 0: N TV_N diverges
            assert pair.start == "prior"
            assert num_steps * lower > 10 * upper
            continue
        assert 0 < num_steps * lower <= limit * (1 + 1e-9)
        assert num_steps * upper == pytest.approx(limit, rel=3e-2)
        checked += 1
    assert checked > 40


def test_no_upper_bound_where_none_is_known() -> None:
    grid = uniform_grid(4, 1.0)
    for schedule in (ArccosSchedule(), LinearSchedule()):
        assert UniformPair(theta=1.0, schedule=schedule).upper_bound(grid) is None
    pair = UniformPair(theta=0.5, schedule=LinearSchedule())
    for nearly_uniform in ([0.0, 0.2, 1.0], [0.0, 0.5 + 1e-6, 1.0]):
        assert pair.upper_bound(nearly_uniform) is None
    assert pair.upper_bound(grid) is not None
    assert AbsorbingPair(schedule=LinearSchedule()).upper_bound([0.0, 0.2, 1.0]) is None
    absorbing = AbsorbingPair(schedule=ExponentialSchedule(), start="prior")
    assert absorbing.upper_bound(grid) is None
    assert absorbing.lower_bound(grid) is None


def test_equal_bits_have_no_lower_bound_on_other_grids() -> None:
    """At theta = 1 a grid that is dense near 0 has an error below the bound of the uniform grid."""
    schedule = ExponentialSchedule(rate=1.0)
    pair = UniformPair(theta=1.0, schedule=schedule)
    num_steps = 40
    geometric = np.array([0.0, *(10.0 ** np.linspace(-12, 0, num_steps))])
    uniform_bound = pair.lower_bound(uniform_grid(num_steps))
    assert uniform_bound is not None
    record = Record()
    record.at_most(uniform_bound, enumerated_tv(pair, geometric), "c/N", 1e-13)
    assert not record.holds


@pytest.mark.parametrize("factor", [1.05, 0.95])
def test_a_wrong_constant_is_rejected(factor: float) -> None:
    """Bounds wrong by 5 % fail: for linear masked noise both bounds are equalities."""
    pair = next(masked_pairs((LinearSchedule(),)))
    grid = uniform_grid(8)
    tv, lower, upper = pair.closed_form(grid), pair.lower_bound(grid), pair.upper_bound(grid)
    assert lower is not None
    assert upper is not None
    record = Record()
    record.at_most(factor * lower, tv, "lower", 1e-13)
    record.at_most(tv, factor * upper, "upper", 1e-13)
    assert not record.holds


def test_random_grids_increase_and_end_at_the_horizon() -> None:
    draw = random.Random(0)
    for num_steps in (1, 2, 9):
        grid = random_grid(draw, num_steps, 2.0)
        assert len(grid) == num_steps + 1
        assert grid[-1] == 2.0
        assert grid == sorted(set(grid))


def test_upper_bounds_by_hand() -> None:
    """Three steps at rate 1: tanh(1/3) / 2 times 1 + 1/4 and 1 + 1/12; and the masked bound."""
    pair = UniformPair(theta=1.0, schedule=ExponentialSchedule(rate=1.0))
    by_hand = math.tanh(1 / 3) / 2 * (5 / 4) * (13 / 12)
    assert pair.upper_bound(uniform_grid(3)) == pytest.approx(by_hand, rel=1e-12)
    for start in ("q_T", "prior"):  # the same law for this schedule
        masked = MaskedPair(p_0=torch.eye(2) / 2, schedule=LinearSchedule(), start=start)
        assert masked.upper_bound(uniform_grid(3)) == pytest.approx(0.5 / 3, rel=1e-12)
