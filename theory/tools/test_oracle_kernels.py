"""The noise of the oracle against matrix exponentials."""

import math
from fractions import Fraction

import numpy as np
import pytest
import scipy.linalg

from theory.tools import oracle

ELAPSED = 0.7
RATIO = math.exp(-ELAPSED)  # a redraw at rate 1 has not happened


def generated(rates):
    """exp(t R) of jump rates [from, to]; the diagonal is filled in."""
    rates = np.array(rates, dtype=float)
    return scipy.linalg.expm(ELAPSED * (rates - np.diag(rates.sum(1))))


@pytest.mark.parametrize("size", [2, 3, 5])
def test_uniform_noise_redraws_at_rate_one(size):
    expected = generated(np.full((size, size), 1 / size))
    np.testing.assert_allclose(oracle.uniform_kernel(RATIO, size), expected, atol=1e-14)


@pytest.mark.parametrize("size", [2, 3])
def test_masked_noise_goes_to_the_mask_at_rate_one(size):
    rates = np.zeros((size + 1, size + 1))
    rates[:size, size] = 1
    expected = generated(rates)
    np.testing.assert_allclose(oracle.masked_kernel(RATIO, size), expected, atol=1e-14)
    from_data = oracle.masked_kernel(RATIO, size, from_data=True)
    np.testing.assert_allclose(from_data, expected[:size], atol=1e-14)


def test_two_states_and_falling_ones():
    expected = generated([[0, 0.4], [0.9, 0]])
    np.testing.assert_allclose(oracle.two_state_kernel(0.4, 0.9, ELAPSED), expected, atol=1e-14)
    np.testing.assert_allclose(
        oracle.falling_kernel(RATIO), generated([[0, 0], [1, 0]]), atol=1e-14
    )


@pytest.mark.parametrize(
    "kernel",
    [oracle.uniform_kernel(Fraction(2, 7), 3), oracle.masked_kernel(Fraction(2, 7), 3)],
)
def test_kernels_of_fractions_are_exact(kernel):
    assert all(isinstance(p, Fraction) and p >= 0 for row in kernel for p in row)
    assert all(sum(row) == 1 for row in kernel)


def test_a_step_of_the_oracle_by_hand():
    """Two equal fair bits, masked with probability 1/2: from both masked the bits are drawn apart.

    Of the four cases at t, one has no mask, two have one, one has two. Only the last one errs:
    then a step to time 0 draws 01 or 10 with probability 1/2.
    """
    law = {(0, 0): Fraction(1, 2), (0, 1): 0 * Fraction(1), (1, 0): 0 * Fraction(1)}
    law[1, 1] = Fraction(1, 2)
    out = oracle.compose(law, [oracle.masked_kernel(Fraction(1, 2), 2, from_data=True)])
    assert out[0, 1] == out[1, 0] == Fraction(1, 16)
    assert oracle.total_variation(out, law) == Fraction(1, 8)
