"""The Markdown tables of the claims: which rows they have, and the numbers of a recorded run."""

import pytest

import theory.__main__ as program
from reporting import write_json
from theory.claim import GROUPS, NOTATION, PAPER_STATEMENTS, all_claims
from theory.recorded import REMEDY, read_claims
from theory.table import escaped, margin, markdown, paper_markdown


def recorded(**changes) -> dict:
    row = {"cases": 9999, "informative": 1234, "worst_deviation": 0.0, "least_slack": 2e-6}
    row |= {"holds": True, "negative_control": False}
    return {"claims": [{"name": c.name, **row, **changes} for c in all_claims()]}


def cells(table: str) -> list[list[str]]:
    """The cells of the rows below the header of a table."""
    lines = [line for line in table.splitlines() if line.startswith("| ")]
    return [line.strip("| ").split(" | ") for line in lines[2:]]


def test_every_claim_has_a_row_in_the_table_of_its_group():
    sections = markdown().split("## ")[1:]
    assert [section.splitlines()[0] for section in sections] == ["Notation", *GROUPS.values()]
    assert len(cells(sections[0])) == len(NOTATION)
    for group, section in zip(GROUPS, sections[1:], strict=True):
        claims = [c for c in all_claims() if c.group == group]
        rows = cells(section)
        assert len(rows) == len(claims)
        for claim, row in zip(claims, rows, strict=True):
            assert row[0] == f"{escaped(claim.statement)}<br>`{claim.name}`"
            assert row[1] == f"`{claim.file}`"
            assert row[2] == escaped(claim.hypotheses)
            assert len(row) == 3  # no numbers without a record


def test_numbers_of_a_recorded_run():
    text = markdown(recorded())
    assert text.count("| 1,234 | no deviation, slack at least 2e-06 |") == len(all_claims())
    one = recorded()
    del one["claims"][1:]
    assert markdown(one).count("1,234") == 1
    assert markdown(one).count("|  |  |") == len(all_claims()) - 1


def test_the_table_of_the_paper_has_one_row_for_each_statement():
    rows = cells(paper_markdown(recorded()))
    assert [row[0] for row in rows] == list(PAPER_STATEMENTS)
    sums = [int(row[3].replace(",", "")) for row in rows]
    assert sum(sums) == 1234 * sum(c.group == "paper" for c in all_claims())
    assert [row[:3] for row in rows] == cells(paper_markdown())
    assert "`theory/mixtures/proposition1.py`" in rows[0][2]


def test_an_older_record_counts_all_comparisons():
    record = recorded()
    for row in record["claims"]:
        del row["informative"]
    assert markdown(record).count("| 9,999 |") == len(all_claims())


def test_margins_in_words():
    identity = {"worst_deviation": 3e-14, "least_slack": None}
    bound = {"worst_deviation": None, "least_slack": 0.25}
    assert margin([identity, bound]) == "off by at most 3e-14, slack at least 2e-01"
    assert margin([bound, {**bound, "least_slack": 4.0}]) == "slack at least 2e-01"
    assert margin([{"worst_deviation": None, "least_slack": None}]) == "no number"


def test_text_with_symbols_survives_markdown():
    assert escaped("|V|_1 < a*b [x] $y$") == r"\|V\|\_1 \< a\*b \[x\] \$y\$"


def test_command_line(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(program, "RESULTS", tmp_path / "theory.json")
    program.main(["--list", "--markdown"])
    assert capsys.readouterr().out == markdown()
    write_json(tmp_path / "theory.json", recorded())
    program.main(["--list", "--markdown"])
    assert capsys.readouterr().out == markdown(recorded())


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"holds": False}, "it has claims that do not hold: .* and [0-9]+ more"),
        ({"name": "a"}, "it has claims that are there twice: a;"),
        ({"holds": "no"}, r"claims\[0\].holds must be true or false; got 'no'"),
        ({"cases": -4}, r"claims\[0\].cases must be at least 0; got -4"),
        ({"informative": 0.5}, r"claims\[0\].informative must be a whole number"),
        ({"least_slack": "x"}, r"claims\[0\].least_slack must be a number"),
        ({"worst_deviation": []}, r"claims\[0\].worst_deviation must be a number"),
    ],
)
def test_a_record_that_proves_nothing_is_refused(monkeypatch, tmp_path, change, said):
    path = tmp_path / "theory.json"
    write_json(path, recorded(**change))
    monkeypatch.setattr(program, "RESULTS", path)
    with pytest.raises(ValueError, match=said) as caught:
        program.main(["--list", "--markdown"])
    assert str(caught.value).startswith(f"{path}: ")
    assert str(caught.value).endswith(REMEDY)


def test_claims_that_fail_or_are_missing_are_named(tmp_path):
    path = tmp_path / "theory.json"
    record = recorded()
    first, second = record["claims"][:2]
    second["holds"] = False
    write_json(path, record)
    with pytest.raises(ValueError, match=f"do not hold: {second['name']};"):
        read_claims(path)
    write_json(path, {"claims": [first]})
    assert read_claims(path) == {"claims": [first]}
    with pytest.raises(ValueError, match=f"no claims of the names: {second['name']};"):
        read_claims(path, [first["name"], second["name"]])
