"""The table of the paper names claims that exist, and leaves out none of the paper's."""

from theory.claim import all_claims
from theory.paper import STATEMENTS, statements_markdown


def test_every_statement_is_checked_by_claims_and_fails_in_controls():
    control = {claim.name: claim.control for claim in all_claims()}
    for statement in STATEMENTS:
        assert statement.claims
        assert not any(control[name] for name in statement.claims), statement.name
        assert all(control[name] for name in statement.fails), statement.name


def test_no_claim_of_the_paper_is_left_out():
    shown = {name for statement in STATEMENTS for name in statement.claims}
    assert {claim.name for claim in all_claims() if claim.group == "paper"} <= shown


def test_the_table_has_the_recorded_numbers():
    row = {"name": "lemma1-order", "cases": 7, "worst_deviation": None, "least_slack": 0.25}
    lines = statements_markdown({"claims": [row]}).splitlines()
    assert {line.count(" | ") for line in lines} == {7}
    [lemma] = [line for line in lines if line.startswith("| Lemma 1")]
    assert "| 7 | slack at least 2e-01 | `lemma1-uniformly` |" in lemma
    assert "`theory/lemma1/one_step.py`" in lemma
    assert lemma.count("|") == 9  # the bars of formulas do not end a cell
    assert "| 7 |" not in statements_markdown()
