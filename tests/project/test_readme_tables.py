"""`python -m docs.tables` writes nothing unless all records are whole and all claims hold."""

import json
import shutil

import pytest

from docs import miniature_tables, tables
from reporting import ROOT, run_script

FILES = ("theory.json", "leaderboard.json", "miniatures.csv", "README.md")


@pytest.fixture
def folder(monkeypatch, tmp_path):
    for name in FILES:
        shutil.copy(ROOT / ("" if name == "README.md" else "results") / name, tmp_path)
    monkeypatch.setattr(tables, "RESULTS", tmp_path)
    monkeypatch.setattr(tables, "README", tmp_path / "README.md")
    monkeypatch.setattr(miniature_tables, "_FILE", tmp_path / "miniatures.csv")
    return tmp_path


def _write(folder, capsys):
    with pytest.raises(SystemExit) as stop:
        run_script(lambda: tables.main([]))
    return stop.value.code, capsys.readouterr().err


def test_whole_records_give_the_readme_of_the_repository(folder, capsys):
    path = folder / "README.md"
    before = path.read_bytes()
    table = next(iter(tables.readme_tables().values()))
    path.write_bytes(before.replace(table.encode(), b"| other |\n"))
    assert _write(folder, capsys) == (None, "")
    assert path.read_bytes() == before


def _no_claim_holds(text):
    return text.replace('"holds": true', '"holds": false')


def _one_claim_fails(text):
    record = json.loads(text)
    record["claims"][3] |= {"name": "the-wrong-one", "holds": False}
    return json.dumps(record)


def _without(word):
    return lambda text: "".join(line for line in text.splitlines(True) if word not in line)


def _summary_of(process):
    def change(text):
        record = json.loads(text)
        record["summary"] = [line for line in record["summary"] if line["process"] == process]
        return json.dumps(record)

    return change


@pytest.mark.parametrize(
    ("name", "change", "said"),
    [
        ("theory.json", None, "no file"),
        ("theory.json", lambda text: "{}", "lacks claims"),
        ("theory.json", lambda text: '{"claims": []}', "no claims of the names"),
        ("theory.json", lambda text: text[:-9], "is not JSON"),
        ("theory.json", _no_claim_holds, "claims that do not hold"),
        ("theory.json", _one_claim_fails, "claims that do not hold: the-wrong-one;"),
        ("leaderboard.json", None, "no file"),
        ("leaderboard.json", lambda text: "{}", "lacks summary"),
        ("leaderboard.json", lambda text: '{"summary": []}', "summary must be at least 1 long"),
        ("leaderboard.json", lambda text: '{"summary": [{}]}', "summary[0] lacks"),
        ("leaderboard.json", lambda text: text[:99], "is not JSON"),
        ("leaderboard.json", _summary_of("uniform"), "no methods to compare under masked noise"),
        ("miniatures.csv", None, "No such file"),
        ("miniatures.csv", lambda text: "", "is no CSV file"),
        ("miniatures.csv", lambda text: "a,b\n", "has the columns a, b"),
        ("miniatures.csv", lambda text: text[: text.index("\n") + 1], "has no rows"),
        ("miniatures.csv", _without("digits,digits,student,4"), "of the student digits at 4 calls"),
        ("miniatures.csv", _without("words-teacher"), "of the teacher words-teacher at 1 call"),
        ("README.md", None, "no file"),
        ("README.md", _without("<!-- masked -->"), "has no line <!-- masked -->"),
    ],
)
def test_a_broken_record_is_named_and_nothing_is_written(folder, capsys, name, change, said):
    path, readme = folder / name, folder / "README.md"
    if change is None:
        path.unlink()
    else:
        path.write_text(change(path.read_text("utf-8")), "utf-8")
    before = readme.read_bytes() if readme.exists() else None
    status, line = _write(folder, capsys)
    assert status == 2
    assert line.startswith("error: ")
    assert line.count("\n") == 1
    assert str(path) in line
    assert said in line
    assert (readme.read_bytes() if readme.exists() else None) == before
