"""Schedules against derivatives, inverses and fifty digits; grids against their coordinate."""

import math
from dataclasses import FrozenInstanceError

import mpmath
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from di4c import schedules as sch

SCHEDULES = [
    sch.LinearSchedule(2.0),
    sch.LogLinearSchedule(0.7),
    sch.CosineSchedule(1.5),
    sch.ArccosSchedule(2.5),
    sch.ExponentialSchedule(3.0, rate=0.7),
]
fractions = st.floats(0.01, 0.99)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@settings(max_examples=40)
@given(fraction=fractions)
def test_the_inverse_and_the_derivative(schedule, fraction):
    t = torch.tensor(fraction * schedule.horizon, dtype=torch.float64, requires_grad=True)
    alpha = schedule.alpha(t)
    (slope,) = torch.autograd.grad(alpha, t)
    torch.testing.assert_close(schedule.derivative(t).detach(), slope, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(schedule.inverse(alpha).detach(), t.detach(), rtol=1e-11, atol=1e-12)
    assert slope < 0


EXACT_ALPHA = {
    sch.LinearSchedule: lambda s, t: 1 - t / s.horizon,
    sch.LogLinearSchedule: lambda s, t: 1 - (1 - mpmath.mpf(s.epsilon)) * t / s.horizon,
    sch.CosineSchedule: lambda s, t: mpmath.sin((1 - t / s.horizon) * mpmath.pi / 2),
    sch.ArccosSchedule: lambda s, t: mpmath.asin(1 - t / s.horizon) * 2 / mpmath.pi,
    sch.ExponentialSchedule: lambda s, t: mpmath.exp(-mpmath.mpf(s.rate) * t),
}


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@settings(max_examples=40)
@given(power=st.floats(-12, 0))
def test_the_complement_keeps_its_digits_near_0(schedule, power):
    """1 - alpha against fifty digits."""
    t = schedule.horizon * 10**power
    with mpmath.workdps(50):
        expected = float(1 - EXACT_ALPHA[type(schedule)](schedule, mpmath.mpf(t)))
    assert float(schedule.complement(t)) == pytest.approx(expected, rel=1e-14, abs=0)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
@settings(max_examples=40)
@given(start=st.floats(0, 1), power=st.floats(-15, 0))
def test_a_drop_keeps_its_digits_between_near_times(schedule, start, power):
    """alpha(s) - alpha(t) against fifty digits, with times at both ends and between."""
    s = schedule.horizon * start
    t = min(s + schedule.horizon * 10**power, schedule.horizon)
    with mpmath.workdps(50):
        alphas = (EXACT_ALPHA[type(schedule)](schedule, mpmath.mpf(time)) for time in (s, t))
        expected = float(next(alphas) - next(alphas))
    assert float(schedule.drop(s, t)) == pytest.approx(expected, rel=1e-14, abs=0)


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_alpha_at_both_ends(schedule):
    assert float(schedule.alpha(0.0)) == 1.0
    assert 0 <= float(schedule.alpha(schedule.horizon)) < 0.2
    assert (float(schedule.alpha(schedule.horizon)) == 0) == (
        type(schedule) in (sch.LinearSchedule, sch.CosineSchedule, sch.ArccosSchedule)
    )


def test_known_values_of_alpha():
    assert float(sch.CosineSchedule().alpha(2 / 3)) == pytest.approx(0.5, abs=1e-15)
    assert float(sch.ExponentialSchedule(rate=2.0).alpha(1.0)) == pytest.approx(math.exp(-2))
    assert float(sch.LogLinearSchedule().alpha(1.0)) == pytest.approx(1e-3, abs=1e-16)
    # At r = 1/2 MaskGIT masks a share arccos(1/2) / (pi/2) = 2/3.
    assert float(sch.ArccosSchedule().alpha(0.5)) == pytest.approx(1 / 3, abs=1e-15)


@settings(max_examples=40)
@given(num_steps=st.integers(1, 40), horizon=st.floats(0.1, 10))
def test_grids_increase_and_reach_both_ends(num_steps, horizon):
    cosine = sch.CosineSchedule(horizon)
    exponential = sch.ExponentialSchedule(horizon, rate=0.5)
    for grid in (
        sch.uniform_grid(num_steps, horizon),
        sch.quadratic_grid(num_steps, horizon),
        sch.alpha_grid(cosine, num_steps),
        sch.psi_grid(exponential, num_steps, 0.9),
        sch.phi_grid(exponential, num_steps, 0.3),
    ):
        times = sch.check_grid(grid)
        assert len(times) == num_steps + 1
        assert times[0] == 0
        assert times[-1] == horizon


def _is_equispaced(values):
    steps = values.diff()
    torch.testing.assert_close(steps, steps.mean().expand_as(steps), rtol=1e-9, atol=1e-12)


@settings(max_examples=40)
@given(num_steps=st.integers(2, 20), theta=st.floats(0.05, 0.99), weight=st.floats(0.05, 0.95))
def test_grids_are_equispaced_in_their_coordinate(num_steps, theta, weight):
    schedule = sch.CosineSchedule(1.3)
    _is_equispaced(schedule.alpha(sch.alpha_grid(schedule, num_steps)))
    alpha = schedule.alpha(sch.psi_grid(schedule, num_steps, -theta))
    _is_equispaced(torch.atanh(theta * alpha**2))
    alpha = schedule.alpha(sch.phi_grid(schedule, num_steps, weight))
    _is_equispaced(torch.atan(math.sqrt(weight / (1 - weight)) * (1 - alpha)))


@pytest.mark.parametrize("schedule", SCHEDULES, ids=lambda s: type(s).__name__)
def test_a_schedule_does_not_change(schedule):
    for name in ("horizon", "new"):
        with pytest.raises(FrozenInstanceError):
            setattr(schedule, name, 1.0)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: sch.LinearSchedule(0.0), "horizon.*0.0"),
        (lambda: sch.ExponentialSchedule(rate=-0.5), "rate.*-0.5"),
        (lambda: sch.ExponentialSchedule(rate=0.0), "rate.*0.0"),
        (lambda: sch.LogLinearSchedule(epsilon=2.0), "epsilon.*2.0"),
        (lambda: sch.LogLinearSchedule(epsilon=0.0), "epsilon.*0.0"),
        (lambda: sch.uniform_grid(0), "num_steps.*0"),
        (lambda: sch.uniform_grid(2, start=-0.5), "start.*-0.5"),
        (lambda: sch.psi_grid(sch.LinearSchedule(), 4, 1.0), "theta.*uniform_grid"),
        (lambda: sch.phi_grid(sch.LinearSchedule(), 4, 1.0), "weight.*1.0"),
        (lambda: sch.phi_grid(sch.LinearSchedule(), 4, -0.5), "weight.*-0.5"),
        (lambda: sch.check_grid([0.0, 0.5, 0.5]), "increase.*t_1 = 0.5, t_2 = 0.5"),
        (lambda: sch.check_grid([0.0]), "two times"),
        (lambda: sch.check_grid([-0.1, 1.0]), "-0.1"),
        (lambda: sch.check_grid([0.0, math.nan]), "nan"),
    ],
)
def test_bad_input_is_refused_with_argument_and_value(call, words):
    with pytest.raises(ValueError, match=words):
        call()


def test_times_that_cannot_be_told_apart_are_refused():
    with pytest.raises(ValueError, match=r"num_steps must be smaller for times up to 1\.0; got 4"):
        sch.uniform_grid(4, start=1 - 2**-53)
