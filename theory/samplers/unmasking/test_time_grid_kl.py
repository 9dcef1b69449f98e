"""Masked steps on a time grid: polynomial integration, random reveal times, known laws."""

import itertools
import random
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from theory.claim import Record
from theory.samplers.unmasking import time_grid_kl
from theory.samplers.unmasking.information_curve import copies, information_curve
from theory.samplers.unmasking.time_grid_kl import (
    bernstein,
    bernstein_integral,
    path_divergence,
    time_grid_form,
)
from theory.tools.exact_logs import ZERO, kl, log
from theory.tools.laws import rational_law
from theory.tools.oracle import independent
from theory.tools.unmasking import path_law

_unit = st.fractions(0, 1, max_denominator=12)


def _multiply(p, q):
    result = [Fraction(0)] * (len(p) + len(q) - 1)
    for (i, a), (j, b) in itertools.product(enumerate(p), enumerate(q)):
        result[i + j] += a * b
    return result


@settings(max_examples=50)
@given(st.lists(st.fractions(-5, 5, max_denominator=9), min_size=1, max_size=6), _unit, _unit)
def test_bernstein_against_monomials(curve, x, first):
    """z in powers of x by repeated multiplication, integrated term by term."""
    n = len(curve) - 1
    coefficients = [Fraction(0)] * (n + 1)
    row = [Fraction(1)]  # Pascal's triangle
    for _ in range(n):
        row = [a + b for a, b in zip([0, *row], [*row, 0], strict=True)]
    for m, value in enumerate(curve):
        term = [row[m] * value]
        for factor in [[0, 1]] * m + [[1, -1]] * (n - m):
            term = _multiply(term, factor)
        coefficients = [a + b for a, b in zip(coefficients, term, strict=True)]
    assert bernstein(curve, x) == sum(c * x**k for k, c in enumerate(coefficients))
    assert bernstein_integral(curve, first) == sum(
        c * (1 - first ** (k + 1)) / (k + 1) for k, c in enumerate(coefficients)
    )


def _random_reveal(law, survivals):
    """A third route: the mean over the steps in which the coordinates are revealed."""
    num_dims, num_steps = len(next(iter(law))), len(survivals) - 1
    chances = [survivals[-1], *(a - b for b, a in itertools.pairwise(survivals[::-1]))]
    mean = ZERO
    for steps in itertools.product(range(num_steps + 1), repeat=num_dims):
        weight = Fraction(1)
        for step in steps:
            weight *= chances[step]
        batches = [[d for d in range(num_dims) if steps[d] == k] for k in range(num_steps + 1)]
        # Coordinates that q_T leaves unmasked have no error: they count as revealed one by one.
        start = [(d,) for d in batches[0]]
        if weight:
            mean += weight * kl(law, path_law(law, (*start, *map(tuple, batches[1:]))))
    return mean


@settings(max_examples=40)
@given(st.integers(0, 10**6), st.lists(_unit, min_size=1, max_size=3, unique=True))
def test_random_reveal_times(seed, inner):
    law = rational_law(random.Random(seed), 3, 2)
    survivals = [Fraction(1), *sorted({a for a in inner if a < 1} or {Fraction(0)}, reverse=True)]
    assert _random_reveal(law, survivals) == time_grid_form(information_curve(law), survivals)


def test_known_values():
    halves = [Fraction(1), Fraction(1, 2), Fraction(0)]
    # Two coordinates are revealed in the same step with probability 1/2.
    pair = {
        (0, 0): Fraction(1, 2),
        (1, 1): Fraction(1, 2),
        (0, 1): Fraction(0),
        (1, 0): Fraction(0),
    }
    assert path_divergence(pair, halves) == Fraction(1, 2) * log(2)
    # One step from all masks costs the total correlation.
    law = rational_law(random.Random(7), 3, 2)
    one_step = [Fraction(1), Fraction(0)]
    assert path_divergence(law, one_step) == kl(law, independent(law))
    assert time_grid_form(information_curve(independent(law)), halves) == ZERO
    # One step costs D copies of a bit (D - 1) log 2; the bound is D log 2.
    assert time_grid_form(information_curve(copies(6)), one_step) == 5 * log(2)


def test_the_right_end_of_each_cell_is_rejected():
    law, survivals = (
        rational_law(random.Random(3), 2, 2),
        [Fraction(1), Fraction(1, 3), Fraction(0)],
    )
    curve = information_curve(law)
    right = sum(((a - b) * bernstein(curve, a) for a, b in itertools.pairwise(survivals)), ZERO)
    wrong = 3 * (right - bernstein_integral(curve))
    record = Record()
    record.equal(path_divergence(law, survivals), wrong, 0, "right Riemann sum")
    assert not record.holds


@pytest.mark.parametrize(
    "wrong",
    [
        lambda curve, first=Fraction(0): sum(curve) / len(curve),  # right only for a = 0
        lambda curve, first=Fraction(0): bernstein_integral(curve, first) + Fraction(1, 10**9),
        lambda curve, first=Fraction(0): bernstein_integral(curve[::-1], first),
    ],
)
def test_other_integrals_are_rejected(monkeypatch, wrong):
    monkeypatch.setattr(time_grid_kl, "bernstein_integral", wrong)
    record = Record()
    time_grid_kl.verify_integral(record)
    assert not record.holds


def test_another_polynomial_is_rejected(monkeypatch):
    monkeypatch.setattr(time_grid_kl, "bernstein", lambda curve, x: bernstein(curve, 1 - x))
    record = Record()
    time_grid_kl.verify_integral(record)
    assert not record.holds
