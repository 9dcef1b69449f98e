"""Closed forms of pairs at short times, slow noise and extreme laws: against exact numbers."""

from fractions import Fraction

import mpmath
import pytest
import torch

from di4c.exact.pairs import (
    AbsorbingPair,
    MaskedPair,
    UniformPair,
    absorbing_tv,
    log_coefficient,
    masked_tv,
    uniform_tv,
)
from di4c.schedules import (
    ArccosSchedule,
    CosineSchedule,
    ExponentialSchedule,
    LogLinearSchedule,
    alpha_grid,
    phi_grid,
    psi_grid,
)
from tests.di4c.test_schedules import EXACT_ALPHA

SCHEDULES = (
    ExponentialSchedule(),
    ExponentialSchedule(rate=1e-30),
    ExponentialSchedule(rate=1e3),
    LogLinearSchedule(epsilon=1 - 1e-12),
    CosineSchedule(horizon=2.0),
)
TABLE = torch.tensor([[0.1, 0.3], [0.45, 0.15]], dtype=torch.float64)


def _alphas(schedule, grid):
    """Alpha on the grid to 200 digits, as fractions."""
    with mpmath.workdps(200):
        exact = [EXACT_ALPHA[type(schedule)](schedule, mpmath.mpf(t)) for t in grid]
        return [Fraction(int(mpmath.floor(alpha * 10**200)), 10**200) for alpha in exact]


@pytest.mark.parametrize("start", ["q_T", "prior"])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_closed_forms_keep_their_digits(schedule, start):
    options = {"schedule": schedule, "start": start}
    cases = [(MaskedPair(p_0=TABLE, **options), lambda pair: Fraction(pair.dependence), masked_tv)]
    cases += [
        (UniformPair(theta=theta, **options), lambda pair: Fraction(pair.theta), _of_spins)
        for theta in (0.5, 1 - 1e-12, 1e-9, -1.0)
    ]
    cases += [
        (AbsorbingPair(weight=weight, **options), lambda pair: Fraction(pair.weight), absorbing_tv)
        for weight in (0.5, 1e-12, 1 - 1e-12)
    ]
    for share in (1.0, 1e-9, 1e-20):
        grid = [schedule.horizon * share * k / 4 for k in range(5)]
        alphas = _alphas(schedule, grid)
        for pair, parameter, exact in cases:
            expected = float(exact(alphas, parameter(pair), start))
            assert pair.closed_form(grid) == pytest.approx(expected, rel=1e-11, abs=0), (pair, grid)


def _of_spins(alphas, theta, start):
    return uniform_tv([theta * alpha**2 for alpha in alphas], start)


@pytest.mark.parametrize("pair", [MaskedPair, UniformPair, AbsorbingPair])
def test_pairs_take_their_numbers_by_name(pair):
    with pytest.raises(TypeError, match="positional argument"):
        pair(TABLE if pair is MaskedPair else 0.5, schedule=ExponentialSchedule())


@pytest.mark.parametrize("rate", [1.0, 1e-10, 1e-25])
def test_bounds_hold_to_the_last_digits(rate):
    schedule = ExponentialSchedule(rate=rate)
    grid = [k / 4 for k in range(5)]
    pairs = (
        MaskedPair(p_0=TABLE, schedule=schedule),
        UniformPair(theta=1 - 1e-9, schedule=schedule),
        AbsorbingPair(weight=1e-9, schedule=schedule),
    )
    for pair in pairs:
        low, tv, high = pair.lower_bound(grid), pair.closed_form(grid), pair.upper_bound(grid)
        assert 0 < low <= tv * (1 + 1e-12) <= high * (1 + 1e-11)
        assert pair.best_tv(4) <= tv * (1 + 1e-12)
    # Slow noise: all three grids are best where alpha falls linearly.
    if rate < 1e-9:
        for pair in pairs[::2]:
            assert pair.best_tv(4) == pytest.approx(pair.closed_form(grid), rel=1e-8)


@pytest.mark.parametrize("theta", [1 - 1e-6, 1 - 2**-53])
def test_the_limit_of_nearly_equal_spins(theta):
    with mpmath.workdps(50):
        decay, t = mpmath.exp(-8), mpmath.mpf(theta)
        expected = float(t * (1 - decay) / (1 - t**2 * decay))
    pair = UniformPair(theta=theta, schedule=ExponentialSchedule(rate=2.0))
    assert pair.limit() == pytest.approx(expected, rel=1e-13, abs=0)


@pytest.mark.parametrize("scale", [1e-170, 1e170])
def test_the_logarithmic_coefficient_has_no_unit_of_time(scale):
    law = torch.tensor([[0.3, 0.0], [0.0, 0.7]], dtype=torch.float64)
    expected = log_coefficient(law, 1.0, 2.0, 1.0)
    found = log_coefficient(law, scale, 2 * scale, 1 / scale)
    assert found == pytest.approx(expected, rel=1e-14)


@pytest.mark.parametrize("schedule", [*SCHEDULES, ArccosSchedule()])
@pytest.mark.parametrize("num_steps", [4, 50])
def test_best_grids_are_equispaced_to_the_last_digits(schedule, num_steps):
    """Also where the first steps are so short that alpha rounds to 1."""
    grids = [
        (alpha_grid(schedule, num_steps), lambda alpha: 1 - alpha),
        (psi_grid(schedule, num_steps, -(1 - 1e-6)), _psi),
        (phi_grid(schedule, num_steps, 1 - 1e-12), _phi),
    ]
    for grid, place in grids:
        with mpmath.workdps(60):
            alphas = [EXACT_ALPHA[type(schedule)](schedule, mpmath.mpf(t)) for t in grid.tolist()]
            places = [place(alpha) for alpha in alphas]
            shares = [float(k * places[-1] / x) for k, x in enumerate(places[1:], 1)]
        assert shares == pytest.approx([num_steps] * num_steps, rel=1e-10)


def _psi(alpha):
    theta = mpmath.mpf(1 - 1e-6)
    return mpmath.atanh(theta) - mpmath.atanh(theta * alpha**2)


def _phi(alpha):
    weight = mpmath.mpf(1 - 1e-12)
    return mpmath.atan(mpmath.sqrt(weight / (1 - weight)) * (1 - alpha))
