"""The limit of N TV_N for laws that almost have a zero: right, and in bounded time."""

import math

import pytest
import torch

from di4c import exact
from di4c.exact import limits
from di4c.processes import UniformProcess
from di4c.schedules import ExponentialSchedule


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
        limits._integrate(rough, 0.0, 1.0, 1e-8)
    assert len(calls) < 5000


def test_an_integrand_may_jump_at_a_break():
    """The rule is exact for a constant on each side of the jump."""
    calls = []

    def jumps(t):
        calls.append(t)
        return torch.tensor([1.0 if t < 0.3 else 3.0], dtype=torch.float64)

    found, work = [], []
    for breaks in ((0.3,), ()):
        calls.clear()
        found.append(float(limits._integrate(jumps, 0.0, 2.0, 1e-8, breaks)))
        work.append(len(calls))
    assert found[0] == pytest.approx(0.3 + 3 * 1.7, abs=1e-14)
    assert work[0] < work[1] / 5
