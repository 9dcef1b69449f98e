"""The summary of all records, `python -m reporting`."""

import json
import subprocess
import sys

import pytest

import reporting

WRONG = (
    {"name": 1},
    {"holds": "no"},
    {"negative_control": 0.5},
    {"cases": -4},
    {"cases": True},
)
"""Changes of a claim, each of one field."""


def _claim(**change):
    claim = {"name": "a", "holds": True, "negative_control": False, "cases": 1} | change
    return json.dumps({"claims": [claim]}).encode()


@pytest.fixture
def summary(tmp_path):
    def summary(**contents):
        for name, content in contents.items():
            reporting.write_json(tmp_path / f"{name}.json", content)
        command = [sys.executable, "-m", "reporting", "--results", str(tmp_path)]
        return subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

    return summary


def test_table_of_all_results(summary, tmp_path):
    claim = {"name": "a", "cases": 10, "holds": True, "negative_control": False}
    failed = {"name": "b", "cases": 5, "holds": False, "negative_control": True}
    few = [{"steps": 1, "tv": 0.5}, {"steps": 4, "tv": 0.125}]
    nested = [{"law": "3x3", "rows": few, "limit": None}, {"law": "4x4", "rows": few[1:]}]
    (tmp_path / "figures").mkdir()
    (tmp_path / "figures" / "tv.png").touch()
    result = summary(
        theory={"claims": [claim, failed]},
        pair={"process": "masked", "rows": few, "limit": 0.25},
        digits={"process": "uniform", "results": nested},
    )
    assert result.returncode == 0, result.stderr
    text = result.stdout
    assert "1 of 2 hold, 1 of them negative controls, 15 comparisons\n  FAILED b\n" in text
    rows = [line.split() for line in text.split("\n") if line.startswith(("pair", "digits"))]
    assert rows == [
        ["digits", "uniform,", "3x3", "0.5000", "-", "0.1250", "-", "-", "-"],
        ["digits", "uniform,", "4x4", "-", "-", "0.1250", "-", "-", "-"],
        ["pair", "masked", "0.5000", "-", "0.1250", "-", "-", "0.2500"],
    ]
    for name in ("theory.json", "pair.json", "digits.json", "figures/tv.png"):
        assert str(tmp_path / name) in text


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"{", "is not JSON"),
        (b'{"a": "\xff"}', "is not JSON"),
        (b'{"a": 1, "a": 2}', "has the key 'a' twice"),
        (b'{"a": ' + b"[" * 100 + b"]" * 100 + b"}", "nested too deeply"),
        (b"[]", "holds a list"),
        (b'{"claims": [{}]}', "claims[0] lacks"),
        (b'{"claims": 3}', "claims must be a list"),
        *((_claim(**change), f"claims[0].{name} must be") for change in WRONG for name in change),
        (b'{"rows": [{"steps": 1, "tv": [1]}]}', "rows[0].tv must be a number"),
        (b'{"rows": [{"steps": 1, "tv": {}}]}', "rows[0].tv must be a number"),
        (b'{"rows": [{"steps": 1, "tv": "abc"}]}', "rows[0].tv must be a number"),
        (b'{"rows": [{"steps": 1, "tv": -5}]}', "rows[0].tv must be at least 0"),
        (b'{"rows": [{"steps": [], "tv": 1}]}', "rows[0].steps must be a whole number"),
        (b'{"rows": [{"steps": 1, "tv": 1}], "limit": {"a": 1}}', "limit must be a number"),
        (b'{"rows": [{"steps": 1, "tv": 1}], "limit": "x"}', "limit must be a number"),
        (b'{"a": {"rows": [{"steps": 1, "tv": 1}]}, "law": []}', "law must be a text"),
    ],
)
def test_a_broken_file_is_named_and_the_others_summed_up(summary, tmp_path, content, said):
    (tmp_path / "bad.json").write_bytes(content)
    result = summary(pair={"rows": [{"steps": 1, "tv": 0.5}]})
    assert result.returncode == 2
    (line,) = result.stderr.splitlines()
    assert line.startswith(f"error: {tmp_path / 'bad.json'}")
    assert said in line
    assert line.endswith("; make it again")
    assert "0.5000" in result.stdout
    assert "bad.json" not in result.stdout


def test_rows_of_other_things_are_no_curve(summary):
    few = [{"steps": 1, "tv": 0.5}]
    result = summary(a={"rows": [*few, {"loss": 1}]}, b={"rows": [1, 2]}, c={"rows": few})
    assert result.returncode == 0, result.stderr
    assert [line.split()[0] for line in result.stdout.split("\n") if "0.5000" in line] == ["c"]


def test_nothing_to_sum_up(summary):
    result = summary()
    assert result.returncode == 2
    assert result.stderr.startswith("error: results is ")
    assert "name a folder of records" in result.stderr


def test_names_cannot_change_the_table_or_the_terminal(summary):
    """A line feed, an escape code and half of a character."""
    name = "a\nb\x1b[31m\ud800"
    claim = json.loads(_claim(name=name, holds=False))
    result = summary(bad={"law": name, "rows": [{"steps": 1, "tv": 0.5}]}, theory=claim)
    assert result.returncode == 0, result.stderr
    assert result.stdout.count(r"a\nb\x1b[31m\ud800") == 2
