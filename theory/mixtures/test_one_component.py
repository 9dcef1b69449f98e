"""The nearest product law by numerical optimisation and on random laws."""

from fractions import Fraction

import numpy as np
import pytest
from flint import arb
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize

from theory.claim import Record
from theory.mixtures.one_component import certified_minimum, closed_form, product_of
from theory.tools.laws import repetition
from theory.tools.oracle import total_variation


def test_two_bits_are_at_sqrt2_minus_1():
    assert closed_form(2).overlaps(arb(2).sqrt() - 1)
    assert closed_form(2).rad() < 1e-12


@settings(max_examples=40)
@given(st.lists(st.fractions(0, 1, max_denominator=64), min_size=1, max_size=5))
def test_no_product_law_is_nearer(ones):
    distance = total_variation(repetition(len(ones)), product_of(ones))
    assert float(distance) >= float(closed_form(len(ones)).lower()) - 1e-15


@pytest.mark.parametrize("num_dims", [2, 3, 4])
def test_numerical_minimisation_finds_the_closed_form(num_dims):
    def distance(ones):
        return 1 - min(0.5, np.prod(ones)) - min(0.5, np.prod(1 - ones))

    rng = np.random.default_rng(num_dims)
    found = min(
        minimize(distance, rng.uniform(0, 1, num_dims), bounds=[(0, 1)] * num_dims,
                 method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-12}).fun
        for _ in range(8)
    )  # fmt: skip
    assert found == pytest.approx(float(closed_form(num_dims)), abs=1e-6)


def test_a_wrong_constant_is_rejected():
    lower, upper = certified_minimum(2, Fraction(1, 2**8))
    record = Record()
    record.at_most(0.42, float(upper), "too large")
    assert not record.holds
    record = Record()
    record.at_most(float(lower), 0.41, "too small")
    assert not record.holds
