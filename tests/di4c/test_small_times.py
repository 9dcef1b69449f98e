"""Near t = 0 alpha rounds to 1. Probabilities keep their digits there, and nothing becomes NaN.

Expected values come from mpmath with fifty digits, by Bayes' rule over the two states of a bit.
"""

import itertools
import math

import mpmath
import pytest
import torch

from di4c.denoisers import noise_level
from di4c.exact import posterior_marginals
from di4c.processes import InterpolatingProcess, MaskedProcess, UniformProcess
from di4c.schedules import CosineSchedule, ExponentialSchedule, phi_grid
from tests.di4c.test_schedules import EXACT_ALPHA, SCHEDULES

TINY = (5e-324, 1e-310, 1e-200, 1e-100, 1e-30, 1e-17, 1e-16, 1e-12, 4e-8, 1e-3, 0.3, 0.9)
TIMES = [(a * b, b) for a, b in itertools.product((0.0, 0.3, 0.5, 0.999), TINY[2:])]
PROCESSES = {"uniform": UniformProcess, "masked": MaskedProcess}
DTYPES = (torch.float64, torch.float32, torch.bfloat16, torch.float16)
names = {"ids": lambda value: type(value).__name__}


def _alphas(schedule, s, t):
    law = EXACT_ALPHA[type(schedule)]
    return law(schedule, mpmath.mpf(s)), law(schedule, mpmath.mpf(t))


@pytest.mark.parametrize("schedule", SCHEDULES, **names)
def test_probabilities_keep_their_digits(schedule):
    process = UniformProcess(2, schedule)
    for s, t in TIMES:
        if type(schedule) is CosineSchedule and t < 1e-150:
            continue  # 1 - alpha is like t^2, below all numbers of float64
        s, t = s * schedule.horizon, t * schedule.horizon
        with mpmath.workdps(500):
            alpha_s, alpha_t = _alphas(schedule, s, t)
            redraw, reveal = 1 - alpha_t / alpha_s, (alpha_s - alpha_t) / (1 - alpha_t)
            # The bits of x_0, x_s and x_t: 0, 1 and 1.
            here = (1 - alpha_s) / 2 * (alpha_t / alpha_s + redraw / 2)
            posterior = here / ((1 - alpha_t) / 2)
        found = (
            process.redraw_probability(s, t),
            process.reveal_probability(s, t),
            process.transition(s, t)[0, 1],
            process.posterior(torch.tensor([0]), torch.tensor([1]), s, t)[0, 1],
        )
        expected = [float(value) for value in (redraw, reveal, redraw / 2, posterior)]
        digits = pytest.approx(expected, rel=1e-11, abs=0)
        assert [float(value) for value in found] == digits, (s, t)


def test_the_reported_cancellation():
    """Of a coordinate that was redrawn before t, (2^2 - 1^2) / 2^2 are not yet redrawn at t / 2."""
    process = MaskedProcess(3, CosineSchedule())
    assert float(process.reveal_probability(2e-8, 4e-8)) == pytest.approx(0.75, rel=1e-12)


@pytest.mark.parametrize("schedule", SCHEDULES, **names)
@pytest.mark.parametrize("make", PROCESSES.values(), ids=PROCESSES)
def test_steps_are_laws_at_all_times(schedule, make):
    """Also from states that cannot occur: a mask at t = 0."""
    process = make(2, schedule)
    x_t = torch.arange(process.num_states)
    ones = torch.ones(len(x_t), dtype=torch.float64)
    for time, share in itertools.product((0.0, *TINY, 1.0), (0.0, 0.5, 1.0)):
        t = time * schedule.horizon
        for dtype, name in itertools.product(DTYPES, ("reverse", "flow")):
            probs = torch.tensor([0.25, 0.75], dtype=dtype).expand(len(x_t), 2)
            law = getattr(process, name)(probs, x_t, share * t, t)
            assert law.dtype == dtype
            assert bool((law >= 0).all()), (name, dtype, time, share)
            total = law.double().sum(-1)
            torch.testing.assert_close(total, ones, atol=torch.finfo(dtype).eps * 2, rtol=0)
        assert 0 <= float(process.reveal_probability(share * t, t)) <= 1 + 1e-15


@pytest.mark.parametrize(
    ("s", "t"), [(740.0, 740.5), (744.0, 744.2), (800.0, 801.0), (0.3, 0.3 + 1e-10)]
)
def test_constant_noise_forgets_when_it_began(s, t):
    """Long after the start alpha is 0 in float64, or has few digits."""
    process = UniformProcess(2, ExponentialSchedule(horizon=1e3))
    found = process.transition(s, t)[0], process.transition(0.0, t - s)[0]
    expected = torch.tensor([math.exp(s - t), -math.expm1(s - t)], dtype=torch.float64)
    expected = torch.stack([expected[0] + expected[1] / 2, expected[1] / 2])
    for row in found:
        torch.testing.assert_close(row, expected, rtol=1e-13, atol=0)


@pytest.mark.parametrize("schedule", SCHEDULES, **names)
def test_probabilities_keep_their_digits_at_the_other_end(schedule):
    """Where alpha itself is small: the last step from all noise reveals alpha(s)."""
    if float(schedule.alpha(schedule.horizon)) > 0:
        return
    s = (1 - 2.0**-40) * schedule.horizon
    with mpmath.workdps(50):
        expected = _alphas(schedule, s, s)[0]
    found = UniformProcess(2, schedule).reveal_probability(s, schedule.horizon)
    assert float(found) == pytest.approx(float(expected), rel=1e-11, abs=0)


def test_at_the_same_time_nothing_is_revealed():
    for schedule, t in itertools.product(SCHEDULES, (0.0, 5e-324, 0.5, 1.0)):
        t = t * schedule.horizon
        assert float(MaskedProcess(2, schedule).reveal_probability(t, t)) == 0
        assert float(MaskedProcess(2, schedule).redraw_probability(t, t)) == 0


def test_times_of_a_batch():
    """One time for each example, some at 0 and some where 1 - alpha is 0 in float64."""
    process = MaskedProcess(2, CosineSchedule())
    s = torch.tensor([0.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    t = torch.tensor([0.0, 1e-200, 0.5, 1.0], dtype=torch.float64)
    assert process.reveal_probability(s, t).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize("schedule", SCHEDULES, **names)
@pytest.mark.parametrize("t", TINY[4:])
def test_the_noise_level_keeps_its_digits(schedule, t):
    t = t * schedule.horizon
    with mpmath.workdps(80):
        expected = -mpmath.log(_alphas(schedule, t, t)[0])
    found = noise_level(schedule, torch.tensor(t, dtype=torch.float64))
    assert float(found) == pytest.approx(float(expected), rel=1e-12, abs=0)


@pytest.mark.parametrize("t", TINY[4:])
def test_the_slope_of_the_arccos_schedule_keeps_its_digits(t):
    schedule = next(s for s in SCHEDULES if type(s).__name__ == "ArccosSchedule")
    with mpmath.workdps(80):
        expected = mpmath.diff(lambda x: EXACT_ALPHA[type(schedule)](schedule, x), mpmath.mpf(t))
    assert float(schedule.derivative(t)) == pytest.approx(float(expected), rel=1e-10, abs=0)


@pytest.mark.parametrize("t", [1e-12, 1e-9])
def test_reverse_rates_near_0(t):
    """Into the value 0 from 1, which noise drew: alpha'(t) / (1 - alpha(t)), about 2 / t."""
    process = UniformProcess(2, CosineSchedule())
    rates = process.reverse_rates(torch.tensor([[1.0, 0.0]]), torch.tensor([1]), t)
    assert float(rates[0, 0]) == pytest.approx(2 / t, rel=1e-9)


@pytest.mark.parametrize("t", [1e-12, 1e-9])
def test_reverse_rates_into_a_third_value_near_0(t):
    """From 1 to 2 where x_0 is 0: -alpha'(t) / (3 alpha(t)), about (pi / 2)^2 t / 3."""
    process = UniformProcess(3, CosineSchedule())
    rates = process.reverse_rates(torch.tensor([[1.0, 0.0, 0.0]]), torch.tensor([1]), t)
    assert float(rates[0, 2]) == pytest.approx((torch.pi / 2) ** 2 * t / 3, rel=1e-9, abs=0)


def test_the_phi_grid_ends_at_the_horizon():
    grid = phi_grid(CosineSchedule(), 5, 0.5)
    assert (float(grid[0]), float(grid[-1])) == (0.0, 1.0)


def test_processes_of_any_law_at_small_times():
    law = torch.tensor([0.2, 0.0, 0.8], dtype=torch.float64)
    process = InterpolatingProcess(law, CosineSchedule())
    step = process.flow(torch.full((3, 3), 1 / 3), torch.arange(3), 0.0, 0.0)
    torch.testing.assert_close(step, torch.eye(3))


@pytest.mark.parametrize("schedule", SCHEDULES, **names)
@pytest.mark.parametrize("t", [5e-324, 1e-200, 1e-40])
def test_a_mask_that_cannot_be_there_yet_keeps_its_value(schedule, t):
    """Where the probability of a mask rounds to 0, the exact engine does what the process does."""
    process = MaskedProcess(2, schedule)
    single = torch.tensor([0.25, 0.75], dtype=torch.float64)
    table = posterior_marginals(process, torch.outer(single, single), 0.0, t)
    torch.testing.assert_close(table.sum(-1), torch.ones(9, 2, dtype=torch.float64))
    if float(process.transition(0.0, t)[0, -1]) == 0:
        alone = process.reverse(single.expand(3, -1), torch.arange(3), 0.0, t)
        torch.testing.assert_close(table[:, 0], alone.repeat_interleave(3, 0))
