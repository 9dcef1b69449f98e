"""Logarithms without rounding: against floats, identities, and signs that floats round away."""

import math
import random
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from theory.tools import oracle
from theory.tools.exact_logs import (
    ZERO,
    LogSum,
    entropy,
    kl,
    log,
    mutual_information,
    restrict,
    total,
)
from theory.tools.laws import rational_law

_ratios = st.fractions(min_value=Fraction(1, 999), max_value=999, max_denominator=999)


@given(_ratios, _ratios, st.fractions(-9, 9, max_denominator=20))
def test_it_is_a_logarithm(a, b, c):
    assert log(a * b) == log(a) + log(b)
    assert log(a / b) == log(a) - log(b)
    assert float(c * log(a)) == pytest.approx(float(c) * math.log(a), rel=1e-12, abs=1e-12)


@given(_ratios, _ratios)
def test_order_is_the_order_of_the_ratios(a, b):
    assert (log(a) < log(b)) == (a < b)
    assert float(abs(log(a) - log(b))) == float(abs(log(b) - log(a)))


def test_signs_are_right_where_doubles_round_to_zero():
    tiny = log(Fraction(10**30 + 1, 10**30))
    assert math.log(1 + 1e-30) == 0
    assert float(tiny) == pytest.approx(1e-30, rel=1e-14)
    assert -tiny < ZERO < tiny
    assert tiny != ZERO


def test_the_enclosure_contains_the_number():
    value = Fraction(2, 3) * log(6) - log(Fraction(35, 4))
    assert value.enclosure(400).overlaps(value.enclosure(40))
    assert value.enclosure(40).contains(value.enclosure(400))
    assert float(value) == pytest.approx(2 / 3 * math.log(6) - math.log(8.75), abs=1e-15)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_divergences_agree_with_the_float_oracle(seed, zeros):
    rng = random.Random(seed)
    p, q = rational_law(rng, 3, 2, -3 if zeros else 1), rational_law(rng, 3, 2)
    assert sum(p.values()) == 1
    assert float(entropy(p)) == pytest.approx(oracle.entropy(p), abs=1e-14)
    assert float(kl(p, q)) == pytest.approx(oracle.kl(p, q), abs=1e-14)
    assert float(kl(p, oracle.independent(p))) == pytest.approx(
        oracle.total_correlation(p), abs=1e-14
    )


@pytest.mark.parametrize("seed", range(4))
def test_mutual_information_is_a_difference_of_entropies(seed):
    p = rational_law(random.Random(seed), 3, 3, least=-3)
    parts = entropy(restrict(p, [2])) + entropy(restrict(p, [0, 1])) - entropy(p)
    assert mutual_information(p, [2], [0, 1]) == parts


def test_infinite_values_are_refused():
    coin = {(0,): Fraction(1, 2), (1,): Fraction(1, 2)}
    point = {(0,): Fraction(1), (1,): Fraction(0)}
    assert kl(point, coin) == log(2)
    with pytest.raises(ValueError, match="no mass"):
        kl(coin, point)
    with pytest.raises(ValueError, match="positive ratio; got 0"):
        log(0)


def test_sums_print_and_add_up():
    assert repr(log(12)) == "2 log 2 + 1 log 3"
    assert repr(log(1)) == "0"
    assert total([log(2), log(3), -log(6)]) == ZERO == LogSum()
    assert len({log(4), 2 * log(2)}) == 1
