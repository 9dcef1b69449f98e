"""What counts as a failure: equality, NaN, an exception, no comparison at all; and of what kind."""

import math
from collections.abc import Callable
from fractions import Fraction

import pytest

from theory.claim import Claim, Record, all_claims, confirm

NAN = math.nan


def recorded(compare: Callable[[Record], None]) -> Record:
    record = Record()
    compare(record)
    return record


def claim_that(verify: Callable[[Record], None], name: str = "made-up") -> Claim:
    return Claim(name, "one is one", "this test", "none", verify)


@pytest.mark.parametrize(
    ("compare", "holds"),
    [
        (lambda r: r.equal(Fraction(1, 3), Fraction(1, 3), 0, ""), True),
        (lambda r: r.equal(Fraction(1, 3), Fraction(10**9, 3 * 10**9 + 1), 0, ""), False),
        (lambda r: r.equal(1.0, 1.25, 0.25, ""), True),
        (lambda r: r.equal(1.25, 1.0, 0.2, ""), False),
        (lambda r: r.equal(1.0, 1.25, 0.2, ""), False),
        (lambda r: r.equal(NAN, 1.0, 1.0, ""), False),
        (lambda r: r.equal(math.inf, math.inf, 1.0, ""), False),
        (lambda r: r.at_most(Fraction(1, 3), Fraction(1, 3), ""), True),
        (lambda r: r.at_most(1.0, 0.5, ""), False),
        (lambda r: r.at_most(1.0, 0.5, "", rounding=0.5), True),
        (lambda r: r.at_most(1.0, 0.5, "", rounding=0.25), False),
        (lambda r: r.at_most(NAN, 1.0, ""), False),
        (lambda r: r.exceeds(2.0, 1.0, 0.5, ""), True),
        (lambda r: r.exceeds(1.5, 1.0, 0.5, ""), False),  # strict
        (lambda r: r.exceeds(Fraction(1, 3), Fraction(1, 3), 0, ""), False),  # strict
        (lambda r: r.exceeds(Fraction(1, 3), Fraction(10**30, 3 * 10**30 + 1), 0, ""), True),
        (lambda r: r.exceeds(1.0, 2.0, 0.0, ""), False),
        (lambda r: r.exceeds(1.0, NAN, 0.0, ""), False),
        (lambda r: None, False),  # no comparison
    ],
)
def test_one_comparison(compare, holds):
    record = recorded(compare)
    assert record.holds is holds
    assert len(record.failures) == (record.cases if not holds else 0)


def test_the_worst_of_each_kind_is_kept():
    record = Record()
    assert record.worst_deviation is None
    assert record.least_slack is None
    for deviation in (0.0, 0.5, NAN, 0.25):
        record.equal(deviation, 0.0, 1.0, "identity")
    for slack in (NAN, 2.0, 0.5, 1.0):
        record.at_most(0.0, slack, "inequality")
    assert (record.worst_deviation, record.least_slack) == (0.5, 0.5)
    record.exceeds(1.0, 0.5, 0.25, "strictly")
    assert (record.least_slack, record.cases) == (0.25, 9)
    assert len(record.failures) == 2  # the two NaN
    assert "identity: nan != 0.0" in record.failures[0]
    record.equal(0.0, 0.0, 0, "no good comparison makes up for a failure")
    assert not record.holds


def break_down(record: Record) -> None:
    record.equal(1, 2, 0, "one is two")
    raise ZeroDivisionError("three\nfourths")


def test_an_exception_fails_the_claim_and_not_the_run():
    record = claim_that(break_down).run()
    assert not record.holds
    assert record.failures[0] == "raised ZeroDivisionError: three fourths"
    assert "one is two" in record.failures[1]
    with pytest.raises(KeyboardInterrupt):
        claim_that(interrupt).run()


def interrupt(record: Record) -> None:
    raise KeyboardInterrupt


def test_confirm_shows_what_went_wrong():
    confirm(claim_that(lambda record: record.equal(1, 1, 0, "one")))
    with pytest.raises(AssertionError, match="made-up: one: 1 != 2, off by 1"):
        confirm(claim_that(lambda record: record.equal(1, 2, 0, "one")))
    with pytest.raises(AssertionError, match="made-up: no comparison"):
        confirm(claim_that(lambda record: None))
    with pytest.raises(ZeroDivisionError, match="three"):
        confirm(claim_that(break_down))


@pytest.mark.parametrize(
    ("statement", "control"),
    [("one is two", True), ("it is naive: one is two", True), ("naive: one is two", False)],
)
def test_a_control_says_that_it_is_naive(statement, control):
    with pytest.raises(ValueError, match="statement must start with 'naive: '"):
        Claim("made-up", statement, "this test", "none", interrupt, control=control)


def test_every_claim_has_its_own_name_and_one_line():
    claims = all_claims()
    assert len(claims) > 150
    names = [claim.name for _, claim in claims]
    assert len(set(names)) == len(names)
    assert not [c.name for _, c in claims if not c.statement or "\n" in c.statement]
    modules = [module for module, _ in claims]
    assert modules == sorted(modules)
    assert dict(zip(names, modules, strict=True))["half-infimum"] == "optimal_grids"
