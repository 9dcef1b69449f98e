"""Logs of rows survive a killed writer, and other files survive being taken for a log."""

import json
import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

import reporting
from reporting.records import DEPTH, parse_json
from tests.helpers.forks import FORKS
from tests.helpers.json_values import exact, rows
from tests.helpers.pipes import named_pipe


def _append(path, rows):
    for row in rows:
        reporting.append_row(path, row)


class TestRows:
    @given(st.lists(rows, min_size=1, max_size=3), rows, st.integers(0, 400))
    def test_a_killed_writer_costs_at_most_its_own_row(self, tmp_path_factory, kept, torn, cut):
        path = tmp_path_factory.mktemp("rows") / "runs.jsonl"
        kept, torn = [{"step": i} | row for i, row in enumerate(kept)], {"step": -1} | torn
        for row in kept:
            reporting.append_row(path, row)
        whole = path.stat().st_size
        reporting.append_row(path, torn)
        size = whole + min(cut, path.stat().st_size - whole)
        os.truncate(path, size)
        # A row without its newline is whole; anything shorter is not a row.
        survives = size - whole >= len(json.dumps(torn))
        expected = kept + [torn] * survives
        assert exact(reporting.read_rows(path)) == exact(expected)
        reporting.append_row(path, {"step": 1})
        assert exact(reporting.read_rows(path)) == exact([*expected, {"step": 1}])
        assert path.read_bytes().endswith(b"\n")

    def test_damage_elsewhere_is_an_error(self, tmp_path):
        path = tmp_path / "runs.jsonl"
        path.write_text('{"a": 1}\n{"a"\n{"a": 3}\n')
        with pytest.raises(ValueError, match=r"runs\.jsonl, line 2: not a JSON object"):
            reporting.read_rows(path)

    def test_a_missing_file_is_an_error(self, tmp_path):
        with pytest.raises(FileNotFoundError):
            reporting.read_rows(tmp_path / "runs.jsonl")

    def test_a_bad_row_is_not_written(self, tmp_path):
        path = tmp_path / "runs.jsonl"
        reporting.append_row(path, {"a": 1})
        with pytest.raises(ValueError, match="a is nan"):
            reporting.append_row(path, {"a": float("nan")})
        assert reporting.read_rows(path) == [{"a": 1}]

    @pytest.mark.parametrize(
        ("content", "line"),
        [
            ("a note without an end", 1),
            ("a note\n", 1),
            ("{\n", 1),
            ('{"b": 1}\n', 1),
            ('{"b": 1', 1),
            ('{"a": 1}\nb', 2),
            ('{"a": 1}\n{"b": 2}\n{"a": 3', 2),
        ],
    )
    def test_a_file_that_is_no_such_log_is_left_as_it_is(self, tmp_path, content, line):
        path = tmp_path / "notes.txt"
        path.write_text(content)
        message = rf"notes\.txt is not a log of rows that begin with 'a' \(line {line} does not\)"
        with pytest.raises(ValueError, match=message):
            reporting.check_rows(path, "a")
        with pytest.raises(ValueError, match=message):
            reporting.append_row(path, {"a": 1})
        assert path.read_text() == content

    @pytest.mark.parametrize("content", ["", "{", '{"a"', '{"a": 1}\n', '{"a": 1}\n{"a": 2'])
    def test_every_state_of_a_log_passes_the_check(self, tmp_path, content):
        path = tmp_path / "runs.jsonl"
        path.write_text(content)
        reporting.check_rows(path, "a")
        assert path.read_text() == content

    def test_rows_of_several_writers_stay_apart(self, tmp_path):
        path, rows = tmp_path / "runs.jsonl", [{"a": i, "text": "x" * 5000} for i in range(40)]
        writers = [FORKS.Process(target=_append, args=(path, rows[k::2])) for k in range(2)]
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()
        assert sorted(reporting.read_rows(path), key=lambda row: row["a"]) == rows

    def test_an_empty_row_is_refused(self, tmp_path):
        with pytest.raises(ValueError, match="row is empty"):
            reporting.append_row(tmp_path / "runs.jsonl", {})

    def test_a_pipe_gets_the_row(self, tmp_path):
        pipe, read = named_pipe(tmp_path)
        reporting.append_row(pipe, {"a": 1})
        assert read() == b'{"a": 1}\n'


def _nested(depth):
    return json.loads("[" * depth + "]" * depth)


def test_what_a_file_may_hold_can_be_written_and_read_inside_a_row(tmp_path):
    """Objects that are nested more deeply than Python writes are refused when they are read."""
    path = tmp_path / "x.json"
    for depth in (DEPTH, DEPTH + 1, 900):
        path.write_text(json.dumps({"a": _nested(depth - 1)}))
        if depth > DEPTH:
            with pytest.raises(ValueError, match=r"x\.json is not JSON .*too deeply"):
                reporting.read_json(path)
            continue
        row = {"run": {"manifest": reporting.read_json(path)}}
        reporting.append_row(tmp_path / "rows.jsonl", row)
        assert reporting.read_rows(tmp_path / "rows.jsonl") == [row]


def test_a_key_that_is_given_twice_is_refused(tmp_path):
    path = tmp_path / "rows.jsonl"
    path.write_text('{"a": 1, "a": 2}\n{"a": 3}\n')
    with pytest.raises(ValueError, match=r"rows\.jsonl, line 1: not a JSON object"):
        reporting.read_rows(path)
    with pytest.raises(ValueError, match="it has the key 'b' twice"):
        parse_json('{"a": {"b": 1, "c": 2, "b": 1}}')
