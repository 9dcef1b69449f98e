"""The limit of N TV_N for laws that almost have a zero: right, and in bounded time."""

import math

import pytest
import torch

from di4c import exact
from di4c.exact import limits
from di4c.exact.pairs import AbsorbingPair, MaskedPair, UniformPair
from di4c.processes import UniformProcess, two_state_process
from di4c.schedules import ExponentialSchedule, LinearSchedule, uniform_grid


def limit_or_message(gap: float) -> float | str:
    """Two bits of correlation 1 - gap that flip at rate 1/2."""
    law = torch.tensor([2 - gap, gap, gap, 2 - gap], dtype=torch.float64) / 4
    try:
        return exact.limit_n_tv(UniformProcess(2, ExponentialSchedule(1.0, 1.0)), law)
    except ValueError as error:
        return str(error)


@pytest.mark.parametrize("gap", [1e-3, 1e-9])
def test_two_bits_that_almost_agree(gap, monkeypatch):
    """Against the closed form, with a count of evaluations, which need a limit at a gap of 1e-9."""
    calls = []
    plain = limits.one_step_defect
    monkeypatch.setattr(limits, "one_step_defect", lambda *a: calls.append(1) or plain(*a))
    theta = 1 - gap
    closed = theta * -math.expm1(-4) / (1 - theta**2 * math.exp(-4)) / 2
    assert limit_or_message(gap) == pytest.approx(closed, rel=1e-6)
    assert len(calls) < 3000


def test_an_integral_that_does_not_converge_ends():
    calls = []

    def rough(t):
        calls.append(t)
        return torch.tensor([math.sin(1e12 * t)], dtype=torch.float64)

    with pytest.raises(ValueError, match="did not converge"):
        limits._integrate(rough, 0.0, 1.0, 1e-8, 1.0)
    assert len(calls) < 5000


def test_an_integrand_may_jump_at_a_break():
    """The rule is nearly exact for a constant on each side of the jump."""
    calls = []

    def jumps(t):
        calls.append(t)
        return torch.tensor([1.0 if t < 0.3 else 3.0], dtype=torch.float64)

    found, work = [], []
    for breaks in ((0.3,), ()):
        calls.clear()
        found.append(float(limits._integrate(jumps, 0.0, 2.0, 1e-8, 1.0, breaks)))
        work.append(len(calls))
    assert found[0] == pytest.approx(0.3 + 3 * 1.7, abs=1e-14)
    assert work[0] < work[1] / 5


@pytest.mark.parametrize("horizon", [1e-50, 1e-8, 1e3, 1e9, 1e16, 1e50])
def test_the_limit_over_any_time(horizon):
    """In another unit of time it is the same; long after the noise has ended nothing is added."""
    linear = UniformPair(theta=0.5, schedule=LinearSchedule(horizon))
    unit = UniformPair(theta=0.5, schedule=LinearSchedule(1.0)).limit()
    general = exact.limit_n_tv(linear.process, linear.data_law.reshape(-1))
    assert [linear.limit(), general] == pytest.approx([unit, unit], rel=1e-9)
    process = two_state_process(0.5, 0.5, horizon)
    found = exact.limit_n_tv(process, linear.data_law.reshape(-1))
    pair = UniformPair(theta=0.5, schedule=ExponentialSchedule(horizon, 1.0))
    left = math.exp(-4 * horizon)
    closed = horizon * 0.5 * -math.expm1(-4 * horizon) / (1 - 0.25 * left) / 2
    assert [found, pair.limit()] == pytest.approx([closed, closed], rel=1e-9)
    assert pair.upper_bound(uniform_grid(4, horizon)) >= 0.99 * min(1.0, closed / 4)


@pytest.mark.parametrize("horizon", [1e16, 1e30])
def test_other_pairs_over_a_long_time(horizon):
    """Their limits grow with the horizon once the noise has ended."""
    for pair in (MaskedPair, AbsorbingPair):
        options = {"p_0": torch.eye(2) / 2} if pair is MaskedPair else {"weight": 0.5}
        long, short = (
            pair(schedule=ExponentialSchedule(end, 1.0), **options).limit()
            for end in (horizon, 100.0)
        )
        assert long / horizon == pytest.approx(short / 100.0, rel=1e-12)
