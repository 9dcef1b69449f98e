"""Coordinates that a reverse step must leave as they are."""

import itertools

import pytest
import torch

from di4c.processes import (
    InterpolatingProcess,
    MaskedProcess,
    RateMatrixProcess,
    UniformProcess,
    absorbing_process,
)
from di4c.schedules import CosineSchedule, LinearSchedule

COUNT = 1000


def seeded():
    return torch.Generator().manual_seed(8)


@pytest.mark.parametrize("schedule", [LinearSchedule(), CosineSchedule(2.0)])
@pytest.mark.parametrize("last", [True, False])
def test_no_reverse_step_changes_an_unmasked_coordinate(schedule, last):
    """A denoiser that would like another value everywhere: bridge, reverse step, most likely."""
    process = MaskedProcess(3, schedule)
    x_t, x_0 = torch.tensor([[0, 1, 2, 3]]).repeat(COUNT, 1), torch.full((COUNT, 4), 1)
    wish = torch.nn.functional.one_hot(x_0, 3).double()
    s, t = 0.0 if last else 0.4 * schedule.horizon, 0.8 * schedule.horizon
    moved = [
        process.bridge(x_0, x_t, s, t, generator=seeded()),
        process.reverse_step(wish, x_t, s, t, generator=seeded()),
        process.most_likely(wish, x_t, t),
        process.carry_over(x_0, x_t, t),
    ]
    for x_s in moved:
        assert torch.equal(x_s[:, :3], x_t[:, :3])
        assert (x_s[:, 3] == 1).any()
    share = (moved[0][:, 3] == 1).double().mean()
    alpha_s, alpha_t = float(schedule.alpha(s)), float(schedule.alpha(t))
    assert float(share) == pytest.approx((alpha_s - alpha_t) / (1 - alpha_t), abs=0.08)
    law = process.reverse(wish, x_t, s, t)
    kept = torch.nn.functional.one_hot(x_t[:, :3], 4).double()
    torch.testing.assert_close(law[:, :3], kept)


@pytest.mark.parametrize(
    "process",
    [
        absorbing_process(LinearSchedule()),
        InterpolatingProcess(torch.tensor([0.5, 0.5, 0.0]).double(), LinearSchedule()),
        RateMatrixProcess(torch.tensor([[0.0, 0.0], [1.0, -1.0]], dtype=torch.float64)),
    ],
    ids=["absorbing", "a state without noise", "rate matrix"],
)
@pytest.mark.parametrize("s", [0.0, 0.3])
def test_a_value_that_cannot_lead_to_x_t_keeps_it(process, s):
    """Every pair (x_0, x_t) with q(x_t | x_0) = 0 stays at x_t; the others follow Bayes' rule."""
    t, size = 0.7, process.num_states
    q_s, q_t, q_ts = (process.transition(a, b) for a, b in ((0.0, s), (0.0, t), (s, t)))
    impossible = 0
    for x_0, x_t in itertools.product(range(size), repeat=2):
        first, last = torch.full((COUNT,), x_0), torch.full((COUNT,), x_t)
        wish = torch.nn.functional.one_hot(first, size).double()
        drawn = process.reverse_step(wish, last, s, t, generator=seeded())
        carried = process.carry_over(first, last, t)
        if q_t[x_0, x_t] == 0:
            impossible += 1
            assert (drawn == x_t).all()
            assert (carried == x_t).all()
            assert process.posterior(first[:1], last[:1], s, t)[0, x_t] == 1
            assert process.reverse(wish[:1], last[:1], s, t)[0, x_t] == 1
        else:
            law = q_s[x_0] * q_ts[:, x_t] / q_t[x_0, x_t]
            shares = torch.bincount(drawn, minlength=size) / COUNT
            torch.testing.assert_close(shares.double(), law, rtol=0, atol=0.08)
            assert (carried == x_0).all()
    assert impossible


def test_what_is_impossible_for_some_values_only():
    """The mass of the values that cannot lead to x_t stays there; the rest follows Bayes' rule."""
    process = absorbing_process(LinearSchedule())
    wish = torch.tensor([[0.6, 0.4]], dtype=torch.float64)
    law = process.reverse(wish, torch.tensor([1]), 0.25, 0.5)  # a zero never becomes a one
    torch.testing.assert_close(law, torch.tensor([[0.0, 1.0]], dtype=torch.float64))
    law = process.reverse(wish, torch.tensor([0]), 0.25, 0.5)
    # From x_0 = 1, alpha = 1/2 at t and 3/4 at s: x_s = 0 with probability (1/4) / (1/2).
    expected = torch.tensor([[0.6 + 0.4 * 0.5, 0.4 * 0.5]], dtype=torch.float64)
    torch.testing.assert_close(law, expected)
    # On 0 -> 1 -> 2 at rate 1, x_t = 1 comes from 0 by a jump at a uniform time, never from 2.
    rates = torch.tensor([[-1, 1, 0], [0, -1, 1], [0, 0, 0]], dtype=torch.float64)
    stationary = torch.tensor([0, 0, 1], dtype=torch.float64)
    line = RateMatrixProcess(rates, stationary=stationary)
    wish = torch.tensor([[0.5, 0.0, 0.5]], dtype=torch.float64)
    law = line.reverse(wish, torch.tensor([1]), 0.25, 1.0)
    expected = torch.tensor([[0.5 * 0.75, 0.5 * 0.25 + 0.5, 0]], dtype=torch.float64)
    torch.testing.assert_close(law, expected)


def test_a_step_whose_probabilities_all_vanish_stays():
    """With a floor of 1/2 the kernel from 0 to the middle time is 0 everywhere."""
    rates = torch.tensor([[-2, 2, 0], [0, -2, 2], [0, 0, 0]], dtype=torch.float64)
    stationary = torch.tensor([0, 0, 1], dtype=torch.float64)
    process = RateMatrixProcess(rates, stationary=stationary, floor=0.5)
    assert process.transition(0.0, 1.0)[0, 2] > 0.5
    assert not process.transition(0.0, 0.5)[0].any()
    x_0, x_t = torch.tensor([0]), torch.tensor([2])
    wish = torch.nn.functional.one_hot(x_0, 3).double()
    stays = torch.tensor([[0, 0, 1]], dtype=torch.float64)
    torch.testing.assert_close(process.reverse(wish, x_t, 0.5, 1.0), stays)
    torch.testing.assert_close(process.posterior(x_0, x_t, 0.5, 1.0), stays)


def test_uniform_noise_carries_nothing_over():
    process = UniformProcess(3)
    x_0, x_t = torch.tensor([[0, 1, 2]]), torch.tensor([[2, 2, 2]])
    assert torch.equal(process.carry_over(x_0, x_t, 0.5), x_0)
    wish = torch.nn.functional.one_hot(x_0, 3).double()
    assert torch.equal(process.reverse_step(wish, x_t, 0.0, 0.5, generator=seeded()), x_0)
