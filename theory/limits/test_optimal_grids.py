"""The best grids by a numerical optimiser, the infimum, and wrong optima that must fail."""

import math
from fractions import Fraction

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from di4c.exact.pairs import AbsorbingPair, MaskedPair, Pair, UniformPair, absorbing_tv, uniform_tv
from di4c.schedules import CosineSchedule, ExponentialSchedule, LinearSchedule, Schedule
from theory.claim import Record, all_claims
from theory.limits import optimal_grids
from theory.limits.optimal_grids import (
    alphas_close_to_data,
    best_absorbing_tv,
    best_uniform_tv,
    equal_bits_infimum,
)
from theory.tools.pair_cases import enumerated_tv


@pytest.mark.parametrize(
    "pair",
    [
        MaskedPair(p_0=torch.eye(3, dtype=torch.float64) / 3, schedule=CosineSchedule()),
        UniformPair(theta=0.9, schedule=LinearSchedule()),
        AbsorbingPair(weight=0.7, schedule=ExponentialSchedule(horizon=2.0)),
    ],
    ids=lambda value: type(value).__name__,
)
def test_the_optimiser_finds_the_same_grid(pair: Pair) -> None:
    """Minimise TV of the sampler over four gaps, written as a softmax of free numbers."""
    horizon = pair.schedule.horizon

    def grid(free: np.ndarray) -> np.ndarray:
        gaps = np.exp(np.append(free, 0.0))
        return np.concatenate([[0.0], np.cumsum(gaps / gaps.sum())]) * horizon

    def error(free: np.ndarray) -> float:
        times = grid(free)
        times[-1] = horizon
        return enumerated_tv(pair, times)

    options = {"xatol": 1e-7, "fatol": 1e-15, "maxiter": 4000, "maxfev": 4000}
    found = minimize(error, np.zeros(3), method="Nelder-Mead", options=options)
    assert found.success
    assert found.fun == pytest.approx(pair.best_tv(4), abs=1e-12)
    np.testing.assert_allclose(grid(found.x), pair.best_grid(4).numpy(), atol=1e-5)


angles = st.floats(0.01, 0.999)


@given(angles, angles, angles)
def test_two_equispaced_steps_are_best(first: float, second: float, third: float) -> None:
    """Any inner time against the equispaced one, for the uniform and the absorbing pair."""
    low, inner, high = sorted((first, second, third))
    best = math.tanh((math.atanh(low) + math.atanh(high)) / 2)
    assert uniform_tv([high, best, low]) <= uniform_tv([high, inner, low]) + 1e-14
    # For the absorbing pair of weight 1/2, phi = arctan(1 - alpha), which starts at 0.
    best = math.tan(math.atan(high) / 2)
    equispaced = absorbing_tv([1.0, 1 - best, 1 - high], 0.5)
    assert equispaced <= absorbing_tv([1.0, 1 - inner, 1 - high], 0.5) + 1e-15


@settings(max_examples=50)
@given(
    st.lists(st.fractions("0.001", 1, max_denominator=1000), min_size=1, max_size=6, unique=True)
)
def test_no_grid_reaches_the_infimum_of_equal_bits(levels: list[Fraction]) -> None:
    """Rational f_1 < ... < f_N = (1 - w)/(1 + w): TV > 2^-N f_N, in exact arithmetic."""
    levels.sort()
    tv = uniform_tv([Fraction(1), *((1 - f) / (1 + f) for f in levels)])
    assert tv >= levels[-1] / 2 ** len(levels)
    assert (tv == levels[-1] / 2 ** len(levels)) == (len(levels) == 1)


def test_infimum_at_a_constant_flip_rate() -> None:
    """At flip rate r the infimum is 2^-N (1 - e^{-4rT}) / (1 + e^{-4rT})."""
    rate, horizon = 0.3, 2.0
    pair = UniformPair(theta=1.0, schedule=ExponentialSchedule(rate=2 * rate, horizon=horizon))
    decay = math.exp(-4 * rate * horizon)
    for n in (1, 3, 10):
        assert pair.best_tv(n) == pytest.approx(2.0**-n * (1 - decay) / (1 + decay), rel=1e-14)
    assert equal_bits_infimum(Fraction(0), 3) == Fraction(1, 8)


@pytest.mark.parametrize("start", ["q_T", "prior"])
@pytest.mark.parametrize("schedule", [LinearSchedule(), ExponentialSchedule(rate=0.7)], ids=repr)
def test_the_lower_bounds_are_sharp(schedule: Schedule, start: str) -> None:
    """On the best grid TV / lower bound -> 1, so the constants of two_sided_pairs.py are best."""
    pairs: list[Pair] = [
        MaskedPair(p_0=torch.eye(2, dtype=torch.float64) / 2, schedule=schedule, start=start),
        UniformPair(theta=0.8, schedule=schedule, start=start),
        AbsorbingPair(weight=0.3, schedule=schedule),
    ]
    for pair in pairs:
        grid = pair.best_grid(1000).tolist()
        best, lower = pair.best_tv(1000), pair.lower_bound(grid)
        assert best is not None
        assert lower is not None
        assert lower * (1 - 1e-12) <= best <= lower * (1 + 5e-3)
        assert pair.closed_form(grid) == pytest.approx(best, rel=1e-9)


def test_the_grid_close_to_zero_decreases_in_alpha() -> None:
    alphas = alphas_close_to_data(Fraction(1, 10), Fraction(1, 3), 4)
    assert alphas[0] == 1
    assert alphas[-1] == Fraction(1, 3)
    assert alphas == sorted(set(alphas), reverse=True)


def test_wrong_optima_are_rejected() -> None:
    """The optimum at N + 1 steps, or without the factor 2 in cosh, is not the optimum at N."""
    pair = UniformPair(theta=0.9, schedule=LinearSchedule())
    attained = enumerated_tv(pair, pair.best_grid(4))
    record = Record()
    record.equal(attained, best_uniform_tv(pair, 5), 1e-13, "off by one")
    assert not record.holds
    absorbing = AbsorbingPair(weight=0.7, schedule=LinearSchedule())
    assert absorbing.best_tv(1) != pytest.approx(best_absorbing_tv(absorbing, 1))


def test_an_infimum_that_is_attained_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        optimal_grids.uniform_pair,
        "sampler_tv",
        lambda theta, alphas, from_prior: equal_bits_infimum(alphas[-1], len(alphas) - 1),
    )
    (claim,) = (claim for claim in all_claims() if claim.name == "equal-bits-infimum")
    failures = claim.run().failures
    assert failures
    assert all("not attained" in line for line in failures)
