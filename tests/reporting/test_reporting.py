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

import reporting
from reporting import files, provenance
from tests.helpers.json_values import exact, rows
from tests.helpers.pipes import named_pipe


class TestWriteJson:
    @given(rows)
    def test_returns_every_digit(self, tmp_path_factory, payload):
        path = tmp_path_factory.mktemp("json") / "new" / "file.json"
        reporting.write_json(path, payload)
        assert exact(json.loads(path.read_text())) == exact(payload)
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

    def test_long_names_with_the_same_beginning_stay_apart(self, tmp_path):
        """A file may be written while another one is, as a hash is before its file."""
        one, two = (tmp_path / ("x" * 100 + end) for end in (".a", ".b"))

        def write_both(file):
            file.write(b"one")
            files.write_whole(two, b"two")

        files.write_whole(one, write_both)
        assert (one.read_bytes(), two.read_bytes()) == (b"one", b"two")

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
        pipe, read = named_pipe(tmp_path)
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
