"""What scripts keep: records and manifests."""

import errno
import json
import os
import re
import shlex
import stat
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import reporting
from reporting import files, provenance

payloads = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
rows = st.dictionaries(st.text(), payloads, max_size=4)


def _exact(value: object) -> str:
    """A text that differs for 1 and 1.0 and for 0.0 and -0.0, which are equal under ==."""
    return json.dumps(value, sort_keys=True)


class TestWriteJson:
    @given(rows)
    def test_returns_every_digit(self, tmp_path_factory, payload):
        path = tmp_path_factory.mktemp("json") / "new" / "file.json"
        reporting.write_json(path, payload)
        assert _exact(json.loads(path.read_text())) == _exact(payload)
        assert os.listdir(path.parent) == ["file.json"]

    def test_takes_arrays_and_tensors(self, tmp_path):
        payload = {"a": np.float64(0.1), "b": torch.arange(2), "c": (np.int64(3), np.eye(2))}
        reporting.write_json(tmp_path / "x.json", payload)
        read = json.loads((tmp_path / "x.json").read_text())
        assert read == {"a": 0.1, "b": [0, 1], "c": [3, [[1, 0], [0, 1]]]}

    @pytest.mark.parametrize("bad", [float("nan"), float("inf"), -np.inf, torch.tensor(np.nan)])
    def test_names_the_key_of_a_number_that_is_not_finite(self, tmp_path, bad):
        with pytest.raises(ValueError, match=r"rows\[1\]\.tv is -?(nan|inf)"):
            reporting.write_json(tmp_path / "x.json", {"rows": [{"tv": 1.0}, {"tv": bad}]})
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize(
        ("bad", "message"),
        [({"a": {"b": {1, 2}}}, r"a\.b is a set"), ({"a": {1: 2}}, "key 1 in a must be")],
    )
    def test_names_what_has_no_json_form(self, tmp_path, bad, message):
        with pytest.raises(TypeError, match=message):
            reporting.write_json(tmp_path / "x.json", bad)

    def test_a_failed_write_leaves_the_old_file_alone(self, tmp_path, monkeypatch):
        path = tmp_path / "x.json"
        reporting.write_json(path, {"old": 1})

        def full_disk(_):
            raise OSError("no space left")

        monkeypatch.setattr(os, "fsync", full_disk)
        with pytest.raises(OSError, match="no space"):
            reporting.write_json(path, {"new": 2})
        assert json.loads(path.read_text()) == {"old": 1}
        assert os.listdir(tmp_path) == ["x.json"]

    def test_a_name_may_be_as_long_as_a_folder_takes(self, tmp_path):
        path = tmp_path / ("x" * 250 + ".json")
        reporting.write_json(path, {"a": 1})
        assert os.listdir(tmp_path) == [path.name]

    @pytest.mark.parametrize("old", [True, False])
    def test_a_link_stays_one_to_what_is_new(self, tmp_path, old):
        link, target = tmp_path / "link.json", tmp_path / "kept" / "x.json"
        if old:
            reporting.write_json(target, {"old": 1})
        link.symlink_to(target)
        reporting.write_json(link, {"new": 2})
        assert link.is_symlink()
        assert json.loads(target.read_text()) == {"new": 2}
        assert os.listdir(target.parent) == ["x.json"]

    def test_links_in_a_circle_are_an_error_and_stay(self, tmp_path):
        link = _circle(tmp_path)
        with pytest.raises(OSError, match="symbolic links"):
            reporting.write_json(link, {"a": 1})
        assert link.is_symlink()

    def test_a_pipe_is_written_to_and_stays(self, tmp_path):
        pipe, read = _pipe(tmp_path)
        reporting.write_json(pipe, {"a": 1})
        assert json.loads(read()) == {"a": 1}
        assert stat.S_ISFIFO(pipe.stat().st_mode)
        assert os.listdir(tmp_path) == [pipe.name]

    def test_our_own_redirected_output_is_added_to(self, tmp_path):
        """As with `--json /dev/stdout >> log`."""
        log = tmp_path / "log"
        log.write_text("earlier\n")
        code = "import reporting; print('table'); reporting.write_json('log', {'a': 1})"
        with log.open("ab") as file:
            subprocess.run([sys.executable, "-c", code], cwd=tmp_path, stdout=file, check=True)
        assert log.read_text() == 'earlier\ntable\n{\n  "a": 1\n}\n'


def _circle(folder):
    first, second = folder / "first", folder / "second"
    first.symlink_to(second)
    second.symlink_to(first)
    return first


def _pipe(folder):
    """A named pipe, and a function that reads what was written to it."""
    pipe = folder / "pipe"
    os.mkfifo(pipe)
    end = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)  # a writer waits for a reader

    def read():
        text = os.read(end, 10_000)
        os.close(end)
        return text

    return pipe, read


class TestReadJson:
    @pytest.mark.parametrize(
        ("content", "message"),
        [
            (b"{", "is not JSON"),
            (b"", "is not JSON"),
            (b'{"a": "\xff"}', "is not JSON"),
            (b"[]", "holds a list"),
            (b"null", "holds a NoneType"),
        ],
    )
    def test_names_the_file(self, tmp_path, content, message):
        (tmp_path / "x.json").write_bytes(content)
        with pytest.raises(ValueError, match=rf"x\.json {message}"):
            reporting.read_json(tmp_path / "x.json")

    def test_returns_what_was_written(self, tmp_path):
        reporting.write_json(tmp_path / "x.json", {"a": "\u00b5"})
        assert reporting.read_json(tmp_path / "x.json") == {"a": "\u00b5"}


class TestRequireWritable:
    @pytest.mark.parametrize("name", ["x.json", "old.json", "new/folders/x.json", "link.json"])
    def test_makes_nothing(self, tmp_path, name):
        (tmp_path / "old.json").write_text("old")
        (tmp_path / "link.json").symlink_to("new/x.json")
        files.require_writable(tmp_path / name)
        assert sorted(os.listdir(tmp_path)) == ["link.json", "old.json"]
        assert (tmp_path / "old.json").read_text() == "old"

    @pytest.mark.parametrize(
        ("name", "number"),
        [
            (".", errno.EISDIR),
            ("file/x.json", errno.ENOTDIR),
            ("x" * 300, errno.ENAMETOOLONG),
            ("first", errno.ELOOP),
        ],
    )
    def test_names_what_is_wrong(self, tmp_path, name, number):
        (tmp_path / "file").touch()
        _circle(tmp_path)
        with pytest.raises(OSError, match=os.strerror(number)):
            files.require_writable(tmp_path / name)

    def test_asks_for_the_folder_that_is_there(self, tmp_path, monkeypatch):
        """`os.access` is replaced, because a root user has permission everywhere."""
        asked = []
        monkeypatch.setattr(os, "access", lambda path, mode: asked.append(path))
        with pytest.raises(PermissionError, match="no permission"):
            files.require_writable(tmp_path / "new" / "folder" / "x.json")
        assert asked == [tmp_path]


class TestRows:
    @given(st.lists(rows, min_size=1, max_size=3), rows, st.integers(0, 400))
    def test_a_killed_writer_costs_at_most_its_own_row(self, tmp_path_factory, kept, torn, cut):
        path = tmp_path_factory.mktemp("rows") / "runs.jsonl"
        for row in kept:
            reporting.append_row(path, row)
        whole = path.stat().st_size
        reporting.append_row(path, torn)
        size = whole + min(cut, path.stat().st_size - whole)
        os.truncate(path, size)
        # A row without its newline is whole; anything shorter is not a row.
        survives = size - whole >= len(json.dumps(torn))
        expected = kept + [torn] * survives
        assert _exact(reporting.read_rows(path)) == _exact(expected)
        reporting.append_row(path, {"next": 1})
        assert _exact(reporting.read_rows(path)) == _exact([*expected, {"next": 1}])
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

    def test_a_pipe_gets_the_row(self, tmp_path):
        pipe, read = _pipe(tmp_path)
        reporting.append_row(pipe, {"a": 1})
        assert read() == b'{"a": 1}\n'


class TestManifest:
    def test_holds_what_a_rerun_needs(self):
        entries = reporting.manifest(seed=7, recipe="toy")
        assert entries["seed"] == 7
        assert entries["recipe"] == "toy"
        assert entries["versions"]["torch"] == torch.__version__
        assert entries["versions"]["numpy"] == np.__version__
        assert entries["hardware"]["cores"] >= 1
        assert entries["hardware"]["memory_gib"] > 0.1
        assert (entries["hardware"]["gpu"] is None) == (not torch.cuda.is_available())
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", entries["date"])
        assert str(Path.home()) not in json.dumps(entries)

    def test_refuses_to_hide_a_standard_entry(self):
        with pytest.raises(ValueError, match="command"):
            reporting.manifest(command="x")

    def test_code_is_the_state_of_the_clone(self, tmp_path):
        def git(*arguments):
            identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
            command = ["git", "-C", str(tmp_path), *identity, *arguments]
            return subprocess.run(command, check=True, capture_output=True, text=True).stdout

        assert provenance._code(tmp_path) == {"sha": None, "dirty": None}
        git("init")
        (tmp_path / "code.py").write_text("1\n")
        git("add", "code.py")
        git("commit", "-m", "x")
        sha = git("rev-parse", "HEAD").strip()
        assert provenance._code(tmp_path) == {"sha": sha, "dirty": False}
        (tmp_path / "results").mkdir()
        (tmp_path / "results" / "theory.json").write_text("{}")
        assert provenance._code(tmp_path) == {"sha": sha, "dirty": False}
        # A folder inside somebody else's clone has no commit of its own.
        assert provenance._code(tmp_path / "results") == {"sha": None, "dirty": None}
        (tmp_path / "code.py").write_text("2\n")
        assert provenance._code(tmp_path) == {"sha": sha, "dirty": True}

    @pytest.mark.parametrize(
        ("typed", "expected"),
        [
            ("{root}/toys/x.py --seed 1", "python toys/x.py --seed 1"),
            ("toys/x.py --theta -0.5", "python toys/x.py --theta -0.5"),
            ("-m theory --json {root}/results/t.json", "python -m theory --json results/t.json"),
            ("-m theory --json=/elsewhere/a=b.json", "python -m theory --json=a=b.json"),
            ("-X dev toys/x.py --figure '/some where/f'", "python -X dev toys/x.py --figure f"),
            ("toys/x.py --title 'two words'", "python toys/x.py --title 'two words'"),
        ],
    )
    def test_command_has_no_path_of_this_machine(self, tmp_path, monkeypatch, typed, expected):
        monkeypatch.chdir(tmp_path)
        arguments = provenance.shlex.split(f"/opt/bin/python3.11 {typed.format(root=tmp_path)}")
        script = next((word for word in arguments if word.endswith(".py")), "theory/__main__.py")
        assert provenance._command(arguments, script, tmp_path) == expected

    def test_command_with_links_in_a_circle(self, tmp_path, monkeypatch):
        _circle(tmp_path)
        monkeypatch.chdir(tmp_path)
        words = ["python", "toys/x.py", "--json", "first"]
        assert provenance._command(words, "toys/x.py", tmp_path) == shlex.join(words)

    def test_command_of_a_script_called_from_its_own_folder(self, tmp_path, monkeypatch):
        (tmp_path / "toys").mkdir()
        monkeypatch.chdir(tmp_path / "toys")
        command = provenance._command(["python", "x.py", "--quick"], "x.py", tmp_path)
        assert command == "python toys/x.py --quick"
