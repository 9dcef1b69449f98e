"""Rows and records of the miniatures are checked when they are read."""

import json

import pytest

from full_scale import miniature as program
from full_scale.miniatures import open_miniature
from full_scale.miniatures.reading import read_record, recorded_row
from reporting import ROOT, append_row, read_json
from tests.helpers.refusals import assert_refused

MINIATURE = open_miniature("digits")
RECORD = ROOT / "results" / "miniatures.json"
KEY = {"miniature": "digits", "recipe": "digits", "model": "student", "nfe": 1, "seed": 0}
ROW = KEY | {"samples": 5, "part": "test", "model_sha256": "0" * 64}
ROW |= dict.fromkeys(MINIATURE.metrics, 1.0) | {"shown": ["0" * 64]}
ABSENT = object()


def changed(content, place, value):
    """The content with another value, or without it, at a place of nested keys."""
    content = json.loads(json.dumps(content))
    inner = content
    for key in place[:-1]:
        inner = inner[key]
    if value is ABSENT:
        del inner[place[-1]]
    else:
        inner[place[-1]] = value
    return content


def test_a_row_is_found_as_it_was_written(tmp_path):
    path = tmp_path / "rows.jsonl"
    assert recorded_row(path, MINIATURE, KEY) is None
    append_row(path, ROW)
    assert recorded_row(path, MINIATURE, KEY) == ROW
    assert recorded_row(path, MINIATURE, KEY | {"nfe": 2}) is None


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("nfe", -1, r"rows\[1\].nfe must be at least 0"),
        ("model", "expert", r"rows\[1\].model must be one of 'data', 'teacher'"),
        ("model_sha256", "x", r"rows\[1\].model_sha256 must be at least 64 long"),
        ("samples", ABSENT, r"rows\[1\] lacks samples"),
        ("shown", [3], r"rows\[1\].shown\[0\] must be a text"),
        ("shown", ["z" * 64], "row.shown must be images of digits"),
        ("shown", ABSENT, "row.shown must be a list"),
        ("pixel_frechet", "1", "row.pixel_frechet must be a number; got '1'"),
        ("pixel_frechet", ABSENT, "row.pixel_frechet must be a number; got None"),
    ],
)
def test_a_damaged_row_is_refused(tmp_path, name, value, message):
    path = tmp_path / "rows.jsonl"
    append_row(path, ROW | {"miniature": "words"})
    append_row(path, changed(ROW, (name,), value))
    line = assert_refused(lambda: recorded_row(path, MINIATURE, {"miniature": "digits"}), message)
    assert line.startswith(str(path))
    assert line.endswith("; delete or repair this row")


def test_the_record_of_the_repository_is_read():
    everything, own = read_record(RECORD, MINIATURE)
    assert everything == read_json(RECORD)["miniatures"]
    assert own["samples"] == 5000


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        ((), {}, "lacks miniatures"),
        (("miniatures",), [], "miniatures must be an object"),
        (("miniatures", "digits"), [], "miniatures.digits must be an object"),
        (("miniatures", "digits", "samples"), 0, "digits.samples must be at least 1"),
        (("miniatures", "digits", "manifests", "digits"), 3, "manifests.digits must be a list"),
        (("miniatures", "digits", "rows", 2, "nfe"), None, r"rows\[2\].nfe must be a whole number"),
        (
            ("miniatures", "digits", "rows", 2, "pixel_frechet"),
            ABSENT,
            r"rows\[2\].pixel_frechet must be a number",
        ),
    ],
)
def test_a_damaged_record_is_refused_before_the_work_and_kept(tmp_path, place, value, message):
    path, content = tmp_path / "record.json", read_json(RECORD)
    path.write_text(json.dumps(changed(content, place, value) if place else value))
    before = path.read_bytes()
    options = ["digits", "--quick", "--out", str(tmp_path / "out"), "--json", str(path)]
    line = assert_refused(lambda: program.main(options), message)
    assert str(path) in line
    assert line.endswith("; remove it or give another file")
    assert path.read_bytes() == before
    assert not (tmp_path / "out").exists()


def test_what_does_not_exist_holds_nothing(tmp_path):
    assert read_record(tmp_path / "x.json", MINIATURE) == ({}, None)
