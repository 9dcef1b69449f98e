"""`python -m theory` on a few made-up claims: what it runs, prints, writes and refuses."""

import json
import math
import re

import pytest

import theory.__main__ as program
from theory.claim import Claim, Record, all_claims


def hold(record: Record) -> None:
    record.equal(1, 1, 0, "one")
    record.exceeds(2, 1, 0, "two")


def fail(record: Record) -> None:
    record.equal(1, 2, 0, "one is two")


def break_down(record: Record) -> None:
    raise ZeroDivisionError("by zero")


def unbounded(record: Record) -> None:
    record.at_most(1.0, math.inf, "no bound")
    record.equal(math.inf, 0.0, 0, "far")


def claim(name: str, verify, control: bool = False) -> Claim:
    statement = "naive: three is four" if control else "three is three"
    return Claim(name, statement, "a source", "none", verify, control)


GOOD = [
    ("first_file", claim("Plain-claim", hold)),
    ("second_file", claim("strict_control", hold, control=True)),
]
BAD = [
    ("third_file", claim("broken", break_down)),
    ("third_file", claim("wrong", fail)),
    ("third_file", claim("endless", unbounded)),
    ("third_file", claim("empty", lambda record: None)),
]


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setattr(program, "all_claims", lambda: GOOD)
    path = tmp_path / "results" / "theory.json"
    monkeypatch.setattr(program, "RESULTS", path)
    return path


def test_all_claims_are_printed_and_written(results, capsys):
    program.main([])
    lines = capsys.readouterr().out.splitlines()
    first, second = (re.split(r"  +", line) for line in lines[2:4])
    assert first[:7] == [
        "Plain-claim",
        "first_file",
        "2",
        "0e+00",
        "1e+00",
        "holds",
        "three is three",
    ]
    assert second[5] == "fails as it must"
    assert lines[5].startswith("2 of 2 claims hold (1 are negative controls")
    assert lines[6] == f"written to {results}"
    rows = json.loads(results.read_text())["claims"]
    assert [row["module"] for row in rows] == ["first_file", "second_file"]
    assert [row["negative_control"] for row in rows] == [False, True]
    assert [(row["cases"], row["holds"]) for row in rows] == [(2, True), (2, True)]
    assert rows[0]["statement"] == "three is three"


def test_claims_that_fail_are_named_and_the_others_run(results, capsys, monkeypatch):
    monkeypatch.setattr(program, "all_claims", lambda: BAD + GOOD)
    with pytest.raises(SystemExit) as stop:
        program.main([])
    assert stop.value.code == 1
    printed = capsys.readouterr().out
    assert "\n2 of 6 claims hold (" in printed
    assert "FAILED broken (third_file.py): raised ZeroDivisionError: by zero\n" in printed
    assert "FAILED wrong (third_file.py): one is two: 1 != 2" in printed
    assert "FAILED empty (third_file.py): no comparison was made\n" in printed
    rows = {row["name"]: row for row in json.loads(results.read_text())["claims"]}
    assert [name for name, row in rows.items() if row["holds"]] == ["Plain-claim", "strict_control"]
    assert rows["broken"]["failures"] == ["raised ZeroDivisionError: by zero"]
    assert rows["broken"]["verdict"] == "FAILED"
    assert rows["endless"]["worst_deviation"] is rows["endless"]["least_slack"] is None


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("plain_CLAIM", ["Plain-claim"]),
        ("Strict-", ["strict_control"]),
        ("second-file", ["strict_control"]),
        ("theory/second_file.py", ["strict_control"]),
        ("file", ["Plain-claim", "strict_control"]),
    ],
)
def test_only_takes_names_and_files(results, capsys, word, names):
    program.main(["--only", word])
    printed = capsys.readouterr().out
    assert [name for name in ("Plain-claim", "strict_control") if name in printed] == names
    assert "written to" not in printed
    assert not results.exists()


def test_only_writes_where_it_is_told(results, tmp_path):
    program.main(["--only", "strict", "--json", str(tmp_path / "some.json")])
    assert len(json.loads((tmp_path / "some.json").read_text())["claims"]) == 1
    assert not results.exists()


def test_the_list_does_not_pass_a_control_off_as_true(results, capsys):
    program.main(["--list"])
    assert capsys.readouterr().out.splitlines() == [
        "Plain-claim (first_file.py): three is three [a source]",
        "strict_control (second_file.py): fails, as it must: three is four [a source]",
    ]
    assert not results.exists()


def test_a_word_that_matches_nothing_names_the_closest(results):
    with pytest.raises(ValueError, match=r"Secnd matches .* no file; the closest: second_file; --"):
        program.main(["--only", "Secnd"])
    with pytest.raises(ValueError, match=r"zzz matches no claim and no file; --list shows all"):
        program.main(["--only", "zzz"])


def test_a_list_is_not_written(results, capsys, tmp_path):
    with pytest.raises(SystemExit) as stop:
        program.main(["--list", "--json", str(tmp_path / "list.json")])
    assert stop.value.code == 2
    assert "--list writes nothing" in capsys.readouterr().err


def test_the_numbers_of_a_line_have_room_in_a_terminal(results, capsys, monkeypatch):
    """Every claim there is, not run: what it says, a long text, comes after its verdict."""
    every = [
        (module, Claim(c.name, c.statement, c.source, c.hypotheses, hold, c.control))
        for module, c in all_claims()
    ]
    monkeypatch.setattr(program, "all_claims", lambda: every)
    program.main([])
    table = capsys.readouterr().out.split("\n\n")[0].splitlines()
    assert len(table) == len(every) + 2
    for line, (module, claim) in zip(table[2:], every, strict=True):
        assert line.startswith(claim.name)
        assert claim.statement in line
        assert claim.hypotheses in line
        assert line.index(module) < line.index(claim.statement) <= 100
