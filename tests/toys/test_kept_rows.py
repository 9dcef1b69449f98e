"""Rows of the benchmark on disk are checked when they are read: in the cache and in a record."""

import json

import pytest

from reporting import append_row, read_json
from tests.helpers.refusals import assert_refused
from toys import leaderboard
from toys.benchmark.cache import RowCache
from toys.benchmark.record import FoundLimit

OPTIONS = ("--quick", "--task", "pair", "--method", "teacher", "--process", "masked")
WRONG = [
    *(("nfe", value) for value in (0, -1, [], 1.5, "1", None)),
    *(("tv", value) for value in (-5, 2, [1], "x", None)),
    *(("latent", value) for value in (2, [], ["-"], None)),
    *(("captured_tc", value) for value in ("x", [])),
    *(("kl", value) for value in (-1, {})),
    *(("peak_memory", value) for value in ({}, -1, 0.5)),
    *(("train_seconds", value) for value in (-1, "x", None)),
    *(("process", value) for value in ("pink", 1, [])),
    *(("teacher", value) for value in ("none", [])),
    *(("method", value) for value in (1, [])),
    *(("seed", value) for value in (-1, 2**32, [])),
    *(("law", value) for value in ("x", [2], [[0.5]])),
]
"""A field of a row, and a value that it cannot have."""


@pytest.fixture(scope="module")
def kept(tmp_path_factory):
    """A cache with a run, and its record."""
    folder = tmp_path_factory.mktemp("kept")
    cache, record = folder / "rows.jsonl", folder / "record.json"
    _main(cache, "--json", str(record))
    return cache.read_text().splitlines(), record.read_text()


def _main(cache, *options):
    leaderboard.main([*OPTIONS, "--jobs", "1", "--cache", str(cache), *options])


@pytest.mark.parametrize(("field", "value"), WRONG)
def test_a_wrong_row_is_named(kept, tmp_path, field, value):
    lines, record = [json.loads(line) for line in kept[0]], json.loads(kept[1])
    cache, path = tmp_path / "rows.jsonl", tmp_path / "record.json"
    lines[0]["rows"][0][field] = record["rows"][0][field] = value
    for line in lines:
        append_row(cache, line)
    path.write_text(json.dumps(record))
    before = cache.read_bytes()
    said = assert_refused(lambda: _main(cache), rf"rows\[0\]\.{field}")
    assert said.startswith(f"{cache}: the run {lines[0]['key'][:12]}, ")
    assert said.endswith("; repair or remove the file")
    assert cache.read_bytes() == before
    options = ["--finished", str(path)]
    said = assert_refused(lambda: _main(tmp_path / "new", *options), rf"rows\[0\]\.{field}")
    assert said.startswith(f"{path}: ")


@pytest.mark.parametrize("limit", [{}, -1, "x", None])
def test_a_wrong_limit_is_named(kept, tmp_path, limit):
    cache, path = tmp_path / "rows.jsonl", tmp_path / "record.json"
    append_row(cache, {"key": "a", "rows": [{"limit": limit}]})
    said = assert_refused(lambda: RowCache(cache).get("a", FoundLimit), r"rows\[0\]\.limit must")
    assert said.startswith(f"{cache}: the run a, ")
    limits = [{"task": "pair", "process": "masked", "n_tv": limit}]
    path.write_text(json.dumps(json.loads(kept[1]) | {"limits": limits}))
    options = ["--finished", str(path)]
    said = assert_refused(lambda: _main(tmp_path / "new", *options), r"limits\[0\]\.n_tv must")
    assert said.startswith(f"{path}: ")


def test_what_was_kept_is_read_again(kept, tmp_path):
    cache, path = tmp_path / "rows.jsonl", tmp_path / "again.json"
    for line in kept[0]:
        append_row(cache, json.loads(line))
    _main(cache, "--finished", "--json", str(path))
    assert read_json(path)["rows"] == json.loads(kept[1])["rows"]
