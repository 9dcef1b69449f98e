"""Parity and repetition by enumerating the unmasking steps; wrong formulas must fail."""

import itertools
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from di4c.exact.closed_forms import parity_tv, repetition_tv
from theory.claim import Record
from theory.limits.masked import parity_repetition
from theory.limits.masked.parity_repetition import equal_pairs
from theory.tools.laws import parity, repetition


@pytest.mark.parametrize(("num_dims", "num_steps"), [(1, 4), (2, 5), (3, 4), (4, 3), (5, 3)])
def test_balls_and_boxes(num_dims, num_steps):
    """A sum over the steps in which the bits are unmasked, without closed form or sampler."""
    last = first = Fraction(0)
    for steps in itertools.product(range(num_steps), repeat=num_dims):
        weight = Fraction(1, num_steps**num_dims)
        last += weight * (0 if steps.count(max(steps)) == 1 else Fraction(1, 2))
        first += weight * (1 - Fraction(2, 2 ** steps.count(min(steps))))
    assert parity_tv(num_dims, num_steps) == last
    assert repetition_tv(num_dims, num_steps) == first


def test_known_values():
    assert [parity_tv(2, n) for n in (1, 2, 4)] == [Fraction(1, 2 * n) for n in (1, 2, 4)]
    assert parity_tv(3, 2) == Fraction(5, 16)
    assert repetition_tv(3, 1) == Fraction(3, 4)  # two of eight fair triples agree


@given(st.integers(1, 30), st.integers(1, 60))
def test_one_step_and_one_bit(num_dims, num_steps):
    assert parity_tv(1, num_steps) == repetition_tv(1, num_steps) == 0
    assert repetition_tv(num_dims, 1) == 1 - Fraction(2, 2**num_dims)
    if num_dims > 1:
        assert parity_tv(num_dims, 1) == Fraction(1, 2)
        assert parity_tv(num_dims, num_steps + 1) < parity_tv(num_dims, num_steps)


@pytest.mark.parametrize("num_dims", [2, 3, 4, 5])
def test_laws_are_laws(num_dims):
    for law in (parity(num_dims), repetition(num_dims), equal_pairs(num_dims)):
        assert sum(law.values()) == 1


@pytest.mark.parametrize(
    ("name", "wrong"),
    [
        ("parity_tv", lambda d, n: Fraction(d, 4 * n)),  # the first order of the error only
        ("parity_tv", lambda d, n: parity_tv(d, n) + Fraction(1, 10**6)),
        ("repetition_tv", lambda d, n: parity_tv(d, n)),
    ],
)
def test_wrong_formulas_are_rejected(monkeypatch, name, wrong):
    monkeypatch.setattr(parity_repetition, name, wrong)
    record = Record()
    if name == "parity_tv":
        parity_repetition.verify_parity(record)
    else:
        parity_repetition.verify_repetition(record)
    assert not record.holds


@pytest.mark.parametrize("closed", [parity_tv, repetition_tv])
@pytest.mark.parametrize("counts", [(0, 1), (2, 0), (-1, 3)])
def test_counts_must_be_positive(closed, counts):
    with pytest.raises(ValueError, match=r"num_(dims|steps) must be at least 1; got"):
        closed(*counts)
