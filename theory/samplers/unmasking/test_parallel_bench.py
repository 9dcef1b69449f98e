"""Closed forms of ParallelBench: information curves, known values, simulation."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mpmath import mp
from scipy import stats

from theory.claim import Record
from theory.samplers.unmasking.information_curve import (
    information_curve,
    optimal_sizes,
    riemann_gap,
)
from theory.samplers.unmasking.parallel_bench import (
    bits,
    replace_correlation,
    replace_in_steps,
    replace_law,
    shuffle_correlation,
    shuffle_in_steps,
    shuffle_law,
)
from theory.tools import oracle
from theory.tools.exact_logs import kl, log
from theory.tools.unmasking import compositions


@pytest.mark.parametrize("n", [2, 3, 4])
def test_the_information_curves(n):
    """Shuffle has Z_j = log n - log(n - j). On both tasks the gap is the closed form."""
    shuffle, replace = information_curve(shuffle_law(n)), information_curve(replace_law(n))
    assert shuffle == [log(n) - log(n - j) for j in range(n)]
    for sizes in compositions(n):
        assert riemann_gap(shuffle, sizes) == shuffle_in_steps(n, sizes)
        assert riemann_gap(replace, sizes) == replace_in_steps(n, sizes)


@settings(max_examples=30)
@given(st.integers(2, 60))
def test_one_step_and_n_steps_of_the_formulas(n):
    assert shuffle_in_steps(n, (n,)) == shuffle_correlation(n)
    assert replace_in_steps(n, (n,)) == replace_correlation(n)
    assert float(shuffle_in_steps(n, (1,) * n)) == float(replace_in_steps(n, (1,) * n)) == 0


@given(st.integers(2, 200))
def test_bits_against_mpmath(n):
    with mp.workdps(50):
        shuffle = n * mp.log(n, 2) - mp.loggamma(n + 1) / mp.log(2)
        replace = (n - 1) * (mp.log(n, 2) - mp.log(n - 1, 2))
        for ball, value in (
            (bits(shuffle_correlation(n)), shuffle),
            (bits(replace_correlation(n)), replace),
        ):
            assert float(ball.rad()) < 1e-30
            assert abs(mp.mpf(ball.str(40, radius=False)) - value) < mp.mpf(10) ** -30


def test_known_bits():
    assert shuffle_correlation(2) == replace_correlation(2) == log(2)
    assert float(bits(shuffle_correlation(3))) == pytest.approx(2 * math.log2(3) - 1, abs=1e-15)
    assert float(bits(replace_correlation(10**6))) == pytest.approx(math.log2(math.e), abs=1e-6)


def test_parallel_steps_of_shuffle_by_simulation():
    """The share of valid outputs in 20000 two-step samples, n = 4, by a binomial test at 1e-6."""
    generator, number = np.random.default_rng(0), 20000
    # Two positions draw from 4 items. If they differ, the other two draw from the 2 items left.
    first, second = generator.integers(4, size=(number, 2)), generator.integers(2, size=(number, 2))
    valid = int(((first[:, 0] != first[:, 1]) & (second[:, 0] != second[:, 1])).sum())
    chance = math.exp(-float(shuffle_in_steps(4, (2, 2))))
    assert stats.binomtest(valid, number, chance).pvalue > 1e-6
    assert stats.binomtest(valid, number, 1.1 * chance).pvalue < 1e-6


def test_shuffle_wants_small_batches_late():
    """The curve is convex, so the best batches get smaller."""
    curve = [float(z) for z in information_curve(shuffle_law(4))]
    assert optimal_sizes(curve, 3) == (2, 1, 1)
    curve = [math.log(12) - math.log(12 - j) for j in range(12)]
    sizes = optimal_sizes(curve, 4)
    assert list(sizes) == sorted(sizes, reverse=True)


def test_stirling_alone_is_rejected():
    record = Record()
    law = shuffle_law(3)
    record.equal(
        float(kl(law, oracle.independent(law))), 3 - math.log(6 * math.pi) / 2, 1e-3, "Stirling"
    )
    assert not record.holds


def test_sizes_must_cover_the_list():
    with pytest.raises(ValueError, match=r"sizes must sum to n = 4; got \[1, 2\]"):
        shuffle_in_steps(4, (1, 2))
    assert sum(replace_law(3).values()) == sum(shuffle_law(3).values()) == Fraction(1)
