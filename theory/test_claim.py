"""Which comparisons fail, what a claim refuses, and which claims are found."""

import math
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest

import theory
import theory.claim as module
from theory import test_claims
from theory.claim import GROUPS, PAPER_STATEMENTS, Claim, Record, all_claims, claim, confirm

NAN = math.nan


def recorded(compare: Callable[[Record], None]) -> Record:
    record = Record()
    compare(record)
    return record


def claim_that(verify: Callable[[Record], None], **changes: str) -> Claim:
    texts = {
        "name": "made-up",
        "statement": "One is one.",
        "group": "beyond",
        "source": "this test",
        "hypotheses": "none",
    }
    return Claim(**{**texts, **changes}, verify=verify)


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
        (lambda r: r.vanishes(Fraction(0), 0, ""), True),
        (lambda r: r.vanishes(1e-9, 1e-12, ""), False),
        (lambda r: r.vanishes(1e-14, 1e-12, ""), True),
        (lambda r: r.at_most(0.25, 0.5, "", smallest=0), True),
        (lambda r: r.at_most(0.5, 0.9, "", largest=1), True),
    ],
)
def test_one_comparison(compare, holds):
    record = recorded(compare)
    assert record.holds is holds
    assert len(record.failures) == (record.cases if not holds else 0)


def idle(record: Record) -> None:
    """Comparisons that cannot fail."""
    record.equal(0, Fraction(0), 0, "nothing is nothing")
    record.at_most(0.0, 0, "nothing is at most nothing")
    record.at_most(0.5, 1.0, "a probability is at most 1", largest=1)
    record.at_most(0.5, 7.0, "a probability is at most 7", largest=1)
    record.at_most(-0.5, 0.2, "a distance is at least -1/2", smallest=0)
    record.equal(1e-14, -1e-14, 1e-13, "nothing is nothing up to rounding")
    record.at_most(1e-14, 1e-15, "and at most nothing up to rounding", rounding=1e-13)


def test_comparisons_that_cannot_fail_do_not_count():
    record = recorded(idle)
    assert (record.cases, record.informative, record.least_slack) == (7, 0, None)
    assert not record.failures
    assert not record.holds
    record.at_most(0.5, 0.75, "a bound", largest=1)
    assert (record.informative, record.least_slack) == (1, 0.25)
    assert record.holds
    record.at_most(1.5, 1.0, "a number that is not a probability", largest=1)
    assert not record.holds


@pytest.mark.parametrize(
    "compare",
    [
        lambda r: r.at_most(1.0, math.inf, "case 7"),
        lambda r: r.at_most(-math.inf, 1.0, "case 7"),
        lambda r: r.exceeds(math.inf, 1.0, 0, "case 7"),
        lambda r: r.exceeds(1.0, -math.inf, 0, "case 7"),
    ],
)
def test_infinite_bounds_are_refused(compare):
    with pytest.raises(ValueError, match="case 7: the bound is infinite"):
        recorded(compare)


@pytest.mark.parametrize(
    ("verify", "error"),
    [
        (lambda record: 1 / 0, ZeroDivisionError),
        (lambda record: record.at_most(0, math.inf, "no bound"), ValueError),
        (lambda record: None, AssertionError),
        (idle, AssertionError),
        (lambda record: record.equal(1, 2, 0, "wrong"), AssertionError),
    ],
)
def test_the_test_that_runs_all_claims_can_fail(verify, error):
    """The same function that pytest calls with each claim, on claims that are no good."""
    with pytest.raises(error):
        test_claims.test_claim(claim_that(verify))
    test_claims.test_claim(claim_that(lambda record: record.equal(1, 1, 0, "right")))


def test_the_test_that_runs_all_claims_gets_all():
    (mark,) = test_claims.test_claim.pytestmark
    assert mark.args == ("claim", all_claims())


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
    with pytest.raises(AssertionError, match="made-up: no comparison was made"):
        confirm(claim_that(lambda record: None))
    with pytest.raises(AssertionError, match="made-up: no comparison could have failed"):
        confirm(claim_that(idle))
    with pytest.raises(ZeroDivisionError, match="three"):
        confirm(claim_that(break_down))


def test_the_worst_failure_is_kept():
    record = Record()
    assert record.worst_failure is None
    record.equal(1.0, 1.5, 0.25, "off by a quarter more than allowed")
    record.at_most(3.0, 1.0, "by two")
    record.exceeds(1.0, 1.0, 0.5, "by half")
    assert record.worst_failure == "by two: 3.0 > 1.0 (slack -2)"
    record.equal(NAN, 1.0, 1.0, "no number")
    record.at_most(0.0, -1e9, "later")
    assert record.worst_failure.startswith("no number")
    assert claim_that(break_down).run().worst_failure == "raised ZeroDivisionError: three fourths"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "made_up"}, "name must be lower-case words joined by hyphens; got 'made_up'"),
        ({"name": "Made-up"}, "got 'Made-up'"),
        ({"name": "made--up"}, "got 'made--up'"),
        ({"name": ""}, "got ''"),
        ({"group": "ours"}, "group must be one of paper, sharper, fails, beyond; got 'ours'"),
        ({"statement": ""}, "statement must be one line"),
        ({"statement": "one\ntwo"}, "statement must be one line"),
        ({"group": "fails"}, "statement must start with 'False in general: ' in the group 'fails'"),
        (
            {"group": "fails", "statement": "It is False in general: one is two."},
            "statement must start with",
        ),
        ({"statement": "False in general: one is two."}, "made-up in the group 'beyond'"),
        ({"group": "paper"}, "source must be one of Proposition 1, Lemma 1.*got 'this test'"),
    ],
)
def test_bad_texts_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        claim_that(interrupt, **changes)


@pytest.fixture
def register(monkeypatch):
    """The decorator on an empty register."""
    monkeypatch.setattr(module, "_REGISTERED", {})
    return claim("made-up", "One is one.", group="beyond", source="this test", hypotheses="none")


def test_a_function_may_be_registered_again(register):
    assert register(interrupt) is interrupt
    register(interrupt)  # as a reload of the module does
    assert [known.name for known in module._REGISTERED.values()] == ["made-up"]


def test_two_functions_cannot_make_the_same_claim(register):
    register(interrupt)
    with pytest.raises(ValueError, match=r"'made-up' is also a claim of theory/.*test_claim\.py"):
        register(break_down)


def test_files_are_sorted_and_every_statement_of_the_paper_is_claimed():
    claims = all_claims()
    assert len(claims) > 150
    names = [known.name for known in claims]
    assert len(set(names)) == len(names)
    modules = [known.module for known in claims]
    assert modules == sorted(modules)
    assert dict(zip(names, modules, strict=True))["equal-bits-infimum"] == "limits/optimal_grids"
    assert all(Path(theory.__path__[0]).parent.joinpath(known.file).exists() for known in claims)
    assert {known.source for known in claims if known.group == "paper"} == set(PAPER_STATEMENTS)
    assert {known.group for known in claims} == set(GROUPS)


def test_no_file_with_claims_is_left_out():
    """Every file below theory/ that uses the decorator is imported by all_claims."""
    root = Path(theory.__path__[0])
    using = {
        path.relative_to(root).with_suffix("").as_posix()
        for path in root.rglob("*.py")
        if path.read_text().find("\n@claim(") > 0 and not path.name.startswith("test_")
    }
    assert using == {known.module for known in all_claims()}
