"""The bias of a finite batch of latents by hand, by sampling and on random laws."""

import itertools
import math

import pytest
import torch
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.claim import Record
from theory.losses.latents.jensen_bias import (
    bias,
    central_moments,
    integral_bias,
    multinomial_counts,
    random_draws,
    two_point_bias,
)


def test_one_latent_by_hand():
    # Y = 1/4 or 1, so -E log Y + log E Y = log 2 + log(5/8).
    assert bias([(0.5, 0.25), (0.5, 1.0)], 1) == pytest.approx(math.log(2 * 5 / 8))


def test_two_latents_in_ball_arithmetic():
    # Means 1/4, 5/8, 1 of the batch with probabilities 1/4, 1/2, 1/4; the expectation is 5/8.
    expected = -(arb("0.25").log() / 4 + (arb(5) / 8).log() / 2 + arb(0)) + (arb(5) / 8).log()
    assert bias([(0.5, 0.25), (0.5, 1.0)], 2) == pytest.approx(float(expected), abs=1e-15)


@pytest.mark.parametrize(("total", "parts"), [(0, 1), (4, 1), (3, 2), (4, 3), (5, 4)])
def test_all_multinomial_counts_occur_once(total, parts):
    found = list(multinomial_counts(total, parts))
    brute = [c for c in itertools.product(range(total + 1), repeat=parts) if sum(c) == total]
    assert sorted(found) == brute


_VALUE = st.tuples(st.integers(1, 9), st.floats(1e-3, 1.0))


@settings(max_examples=40)
@given(st.lists(_VALUE, min_size=2, max_size=4), st.integers(1, 6))
def test_random_laws_have_a_falling_bias_equal_to_the_integral(values, num_latents):
    total = sum(w for w, _ in values)
    draw = [(w / total, y) for w, y in values]
    here, next_one = bias(draw, num_latents), bias(draw, num_latents + 1)
    assert -1e-15 <= next_one <= here + 1e-15
    assert integral_bias([draw] * num_latents) == pytest.approx(here, abs=1e-10)


def test_the_bias_by_sampling():
    # 200000 batches of 4 latents, fixed seed; an error of 4.9 standard errors has chance 1e-6.
    _, draw = next(iter(random_draws(1, seed=2)))
    weights = torch.tensor([w for w, _ in draw], dtype=torch.float64)
    values = torch.tensor([y for _, y in draw], dtype=torch.float64)
    generator = torch.Generator().manual_seed(0)
    chosen = torch.multinomial(weights, 800_000, replacement=True, generator=generator)
    estimates = -values[chosen].reshape(-1, 4).mean(1).log() + (weights @ values).log()
    error = (estimates.mean().item() - bias(draw, 4)) / (estimates.std().item() / 200_000**0.5)
    assert abs(error) < 4.9


def test_central_moments_by_hand():
    assert central_moments([(0.5, 1.0), (0.5, 3.0)]) == pytest.approx((0.25, 0.0))
    assert central_moments([(0.25, 3.0), (0.75, 1.0)])[1] == pytest.approx(
        (0.25 * 1.5**3 - 0.75 * 0.5**3) / 1.5**3
    )


def test_without_the_square_of_p_the_first_order_is_rejected():
    draw = [(0.5, 0.2), (0.5, 0.6)]
    record = Record()
    record.equal(4000 * two_point_bias(draw, 4000), 0.04 / 2, 1e-3, "Var Y / 2")
    assert not record.holds
    assert 4000 * two_point_bias(draw, 4000) == pytest.approx(0.04 / 0.4**2 / 2, abs=1e-4)
