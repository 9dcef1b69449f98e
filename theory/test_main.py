"""`python -m theory` on a few made-up claims: what it runs, prints, writes and refuses."""

import json
import math
import re

import pytest

import theory.__main__ as program
from theory.claim import FALSE, GROUPS, Claim, Record, all_claims
from theory.paper import STATEMENTS


def hold(record: Record) -> None:
    record.equal(1, 1, 0, "one")
    record.exceeds(2, 1, 0, "two")


def fail(record: Record) -> None:
    record.equal(1, 2, 0, "one is two")
    record.equal(1, 4, 0, "one is four")
    record.equal(1, 3, 0, "one is three")


def break_down(record: Record) -> None:
    raise ZeroDivisionError("by zero")


def unbounded(record: Record) -> None:
    record.equal(math.inf, 0.0, 0, "far")
    record.at_most(1.0, math.inf, "no bound")


def idle(record: Record) -> None:
    record.equal(0, 0, 0, "nothing is nothing")
    record.at_most(0.5, 1.2, "a probability", largest=1)


def made(name: str, verify, group: str = "beyond", file: str = "a/file") -> Claim:
    def copy(record: Record) -> None:
        verify(record)

    copy.__module__ = f"theory.{file.replace('/', '.')}"
    statement = f"{FALSE}three is four." if group == "fails" else f"Three is three in {name}."
    source = "Lemma 1" if group == "paper" else "a source"
    return Claim(name, statement, group, source, "none", copy)


GOOD = [
    made("plain-claim", hold, "paper", "folder/first_file"),
    made("strict-control", hold, "fails", "folder/second_file"),
]
BAD = [
    made("broken", break_down),
    made("wrong", fail, "paper"),
    made("endless", unbounded),
    made("empty", lambda record: None),
    made("idle", idle),
]


@pytest.fixture
def results(monkeypatch, tmp_path):
    monkeypatch.setenv("COLUMNS", str(program.WIDTH))
    monkeypatch.setattr(program, "all_claims", lambda: GOOD)
    path = tmp_path / "results" / "theory.json"
    monkeypatch.setattr(program, "RESULTS", path)
    return path


def printed(capsys, *options: str) -> str:
    program.main(list(options))
    return capsys.readouterr().out


def test_the_paper_is_shown_in_full_and_the_rest_as_one_line(results, capsys):
    text = printed(capsys)
    assert text.startswith("D, S            number of coordinates, number of values of each\n")
    assert (
        "\n\nWhat the paper states\n"
        "---------------------\n\n"
        "plain-claim: holds (Lemma 1)\n"
        "    Three is three in plain-claim.\n"
        "    Hypotheses: none.\n"
        "    theory/folder/first_file.py; 2 comparisons; no deviation, slack at least 1e+00\n\n"
    ) in text
    assert "strict-control" not in text
    row = next(line for line in text.splitlines() if line.startswith(GROUPS["fails"]))
    assert row.removeprefix(GROUPS["fails"]).split() == ["1", "1", "2", "0e+00", "1e+00"]
    assert GROUPS["sharper"] not in text  # none of these claims is in this group
    assert "\n2 of 2 claims hold, 4 comparisons\n1 of the claims show" in text
    assert not results.exists()  # it writes only what it is told to write


@pytest.mark.parametrize("options", [["--all"], ["--only", "folder"]])
def test_all_and_only_show_every_group_in_full(results, capsys, options):
    text = printed(capsys, *options)
    assert "plain-claim: holds (Lemma 1)\n" in text
    assert f"strict-control: holds (a source)\n    {FALSE}three is four.\n" in text


def test_json_writes_every_field(results, capsys, tmp_path):
    path = tmp_path / "some.json"
    assert printed(capsys, "--json", str(path)).endswith(f"written to {path}\n")
    content = json.loads(path.read_text())
    assert content["manifest"]["code"]
    assert [row["name"] for row in content["statements"]] == [s.name for s in STATEMENTS]
    rows = content["claims"]
    assert [row["module"] for row in rows] == ["folder/first_file", "folder/second_file"]
    assert [row["negative_control"] for row in rows] == [False, True]
    assert [(row["cases"], row["holds"]) for row in rows] == [(2, True), (2, True)]
    assert [row["group"] for row in rows] == ["paper", "fails"]
    assert rows[0]["statement"] == "Three is three in plain-claim."
    assert (rows[0]["worst_deviation"], rows[0]["least_slack"]) == (0.0, 1.0)
    assert rows[0]["verdict"] == "holds"
    assert rows[0]["hypotheses"] == "none"
    assert not results.exists()


def test_claims_that_fail_are_shown_last_and_the_others_run(results, capsys, monkeypatch, tmp_path):
    monkeypatch.setattr(program, "all_claims", lambda: BAD + GOOD)
    path = tmp_path / "some.json"
    with pytest.raises(SystemExit) as stop:
        program.main(["--json", str(path)])
    assert stop.value.code == 1
    text = capsys.readouterr().out
    assert "\n2 of 7 claims hold, 8 comparisons\n2 comparisons more could not fail" in text
    assert re.findall(r"^([a-z-]+): FAILED \(.*\)$", text, re.MULTILINE) == [
        "broken",
        "wrong",
        "endless",
        "empty",
        "idle",
    ]
    assert text.index("claims hold") < text.index("broken: FAILED")
    assert text.count("wrong: ") == 1
    assert "1 failed. Worst case: raised ZeroDivisionError: by zero\n" in text
    assert "3 failed. Worst case: one is four: 1 != 4, off by 3\n" in text
    assert "0 failed. Worst case: no comparison was made\n" in text
    assert "0 failed. Worst case: no comparison could have failed\n" in text
    rows = {row["name"]: row for row in json.loads(path.read_text())["claims"]}
    assert [name for name, row in rows.items() if row["holds"]] == ["plain-claim", "strict-control"]
    assert rows["broken"]["failures"] == ["raised ZeroDivisionError: by zero"]
    assert rows["broken"]["verdict"] == "FAILED"
    assert rows["wrong"]["worst_failure"] == "one is four: 1 != 4, off by 3"
    assert rows["endless"]["worst_deviation"] is rows["endless"]["least_slack"] is None
    assert "no bound: the bound is infinite" in rows["endless"]["failures"][0]
    assert (rows["idle"]["cases"], rows["idle"]["informative"]) == (2, 0)


@pytest.mark.parametrize(
    ("word", "names"),
    [
        ("plain_CLAIM", ["plain-claim"]),
        ("Strict-", ["strict-control"]),
        ("second-file", ["strict-control"]),
        ("theory/folder/second_file.py", ["strict-control"]),
        ("file", ["plain-claim", "strict-control"]),
        ("theory/folder/", ["plain-claim", "strict-control"]),
    ],
)
def test_only_takes_names_files_and_folders(results, capsys, word, names):
    text = printed(capsys, "--only", word)
    assert re.findall(r"^([a-z-]+): holds \(.*\)$", text, re.MULTILINE) == names
    assert "written to" not in text


def test_the_list_names_file_group_and_statement(results, capsys):
    assert printed(capsys, "--list").splitlines() == [
        "plain-claim (theory/folder/first_file.py, paper): Three is three in plain-claim.",
        f"strict-control (theory/folder/second_file.py, fails): {FALSE}three is four.",
    ]


def test_a_word_that_matches_nothing_names_the_closest(results):
    with pytest.raises(ValueError, match=r"Secnd matches .* no file; the closest: second_file; --"):
        program.main(["--only", "Secnd"])
    with pytest.raises(ValueError, match=r"zzz matches no claim and no file; --list shows all"):
        program.main(["--only", "zzz"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--list", "--json", "list.json"], "--json cannot be combined with --list"),
        (["--markdown"], "--markdown needs --list; add it"),
    ],
)
def test_options_that_do_not_go_together(results, capsys, tmp_path, monkeypatch, options, message):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SystemExit) as stop:
        program.main(options)
    assert stop.value.code == 2
    assert message in capsys.readouterr().err


@pytest.mark.parametrize(("columns", "widest"), [("120", 100), ("80", 80)])
def test_no_line_is_wider_than_the_terminal(results, capsys, monkeypatch, columns, widest):
    """All claims there are, with a verdict at once."""
    every = [
        Claim(c.name, c.statement, c.group, c.source, c.hypotheses, hold) for c in all_claims()
    ]
    monkeypatch.setattr(program, "all_claims", lambda: every)
    monkeypatch.setenv("COLUMNS", columns)
    for options in (["--all"], ["--list"], []):
        text = printed(capsys, *options)
        assert max(map(len, text.splitlines())) <= widest
        shown = [c for c in every if options or c.group == "paper"]
        flat = " ".join(text.split())
        assert all(c.name in text and " ".join(c.statement.split()) in flat for c in shown)
