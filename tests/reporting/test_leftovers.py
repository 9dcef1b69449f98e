"""Temporary files: those of killed writers are removed by the next one, all others stay."""

import os
import sys
from subprocess import PIPE, Popen

import pytest

from reporting import ROOT, locks, write_json

STALE = ".x.json.4194305.tmp"
"""Our name for a file of a process that cannot exist: Linux has no larger number than 2**22."""


WRITER = """
import sys, time
from reporting.files import write_whole

def content(file):
    file.write(b"half")
    file.flush()
    print("begun", flush=True)
    time.sleep(60)

write_whole("x.json", content)
"""
"""Begins to write a file, and holds it until killed."""


def test_the_file_of_a_killed_writer_goes_and_that_of_a_living_one_stays(tmp_path):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", WRITER]
    with Popen(command, cwd=tmp_path, env=environment, stdout=PIPE) as process:
        assert process.stdout.readline() == b"begun\n"
        unfinished = f".x.json.{process.pid}.tmp"
        write_json(tmp_path / "x.json", {"a": 1})
        assert sorted(os.listdir(tmp_path)) == [unfinished, "x.json"]
        process.kill()
    write_json(tmp_path / "other.json", {"a": 1})
    assert unfinished in os.listdir(tmp_path)
    write_json(tmp_path / "x.json", {"a": 2})
    assert sorted(os.listdir(tmp_path)) == ["other.json", "x.json"]


@pytest.mark.parametrize(
    "name", [".x.json.1x.tmp", ".x.json.tmp", ".y.json.4194305.tmp", "x.json.4194305.tmp"]
)
def test_other_names_stay(tmp_path, name):
    (tmp_path / name).write_text("mine")
    write_json(tmp_path / "x.json", {"a": 1})
    assert (tmp_path / name).read_text() == "mine"


def test_links_and_folders_stay(tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / STALE).symlink_to("precious")
    (tmp_path / STALE.replace("305", "306")).mkdir()
    write_json(tmp_path / "x.json", {"a": 1})
    locks.remove_unlocked(tmp_path / STALE)
    assert (tmp_path / STALE).is_symlink()
    assert len(os.listdir(tmp_path)) == 4
    assert (tmp_path / "precious").read_text() == "text"


def test_a_name_with_special_characters_is_no_pattern(tmp_path):
    (tmp_path / ".a.json.4194305.tmp").write_text("mine")
    (tmp_path / ".[a].json.4194305.tmp").write_text("left")
    write_json(tmp_path / "[a].json", {"a": 1})
    assert sorted(os.listdir(tmp_path)) == [".a.json.4194305.tmp", "[a].json"]


def test_a_file_that_is_removed_before_it_is_locked_is_made_again(tmp_path, monkeypatch):
    """Another writer takes it for a leftover in that moment."""
    once = []

    def late(descriptor, operation, lock=locks.fcntl.flock):
        if not once:
            once.append(descriptor)
            (tmp_path / f".x.json.{os.getpid()}.tmp").unlink()
        lock(descriptor, operation)

    monkeypatch.setattr(locks.fcntl, "flock", late)
    write_json(tmp_path / "x.json", {"a": 1})
    assert once
    assert os.listdir(tmp_path) == ["x.json"]


def test_without_locks_nothing_is_removed(tmp_path, monkeypatch):
    (tmp_path / STALE).write_text("perhaps it is being written")
    monkeypatch.setattr(locks, "fcntl", None)
    write_json(tmp_path / "x.json", {"a": 1})
    assert sorted(os.listdir(tmp_path)) == [STALE, "x.json"]
