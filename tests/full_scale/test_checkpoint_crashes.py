"""Checkpoints of processes that die: at every file operation, killed, out of disk."""

import os
import random
import shutil
import sys
import time

import pytest

from full_scale.training.checkpoint import latest_checkpoint, load_checkpoint, save_checkpoint
from reporting.files import write_whole
from tests.helpers.checkpoint_writer import same, state_at, write_checkpoints
from tests.helpers.forks import FORKS


class Crash:
    """From the n-th file operation on every one fails, as in a process that is dead."""

    OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "fsync")

    def __init__(self):
        self.left = None
        self.fsync = os.fsync
        sys.addaudithook(self)  # Python reports what it does to files, but for fsync

    def __call__(self, event, arguments):
        if self.left is None or event not in self.OPERATIONS:
            return
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def flush(self, descriptor):
        self("fsync", ())
        self.fsync(descriptor)


CRASH = Crash()  # an audit hook stays for the life of the process; this one sleeps between tests


def test_crash_at_every_file_operation(tmp_path, monkeypatch):
    """Whenever a process dies, every checkpoint that is there loads, and the newest is one of two.

    The older of them is removed in the same call, so this covers the removal as well.
    """
    monkeypatch.setattr(os, "fsync", CRASH.flush)
    found = set()
    for number in range(1000):
        shutil.rmtree(tmp_path)
        for step in (1, 2):
            save_checkpoint(tmp_path, step, state_at(step), {})
        CRASH.left = number
        try:
            save_checkpoint(tmp_path, 3, state_at(3), {}, keep=1)
        except KeyboardInterrupt:
            pass
        finally:
            crashed, CRASH.left = CRASH.left < 0, None
        loaded = [load_checkpoint(path) for path in sorted(tmp_path.glob("step_*.pt"))]
        assert all(same(checkpoint.state, state_at(checkpoint.step)) for checkpoint in loaded)
        assert loaded[-1].path == latest_checkpoint(tmp_path)
        found.add(tuple(checkpoint.step for checkpoint in loaded))
        if not crashed:
            break
        save_checkpoint(tmp_path, 4, state_at(4), {}, keep=1)  # clears up after the dead one
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["step_00000004.pt", "step_00000004.pt.sha256"]
    assert number > 15
    assert found == {(1, 2), (1, 2, 3), (2, 3), (3,)}


def _newest_step(folder):
    path = latest_checkpoint(folder)
    return 0 if path is None else int(path.stem.removeprefix("step_"))


def test_killed_writer_leaves_a_whole_checkpoint(tmp_path):
    """SIGKILL at random moments; each new writer goes on from what the last one left."""
    generator = random.Random(5)
    last = 0
    for _ in range(6):
        writer = FORKS.Process(target=write_checkpoints, args=(tmp_path,), daemon=True)
        writer.start()
        while _newest_step(tmp_path) <= last:
            assert writer.is_alive()
            time.sleep(0.001)
        time.sleep(generator.random() * 0.2)
        writer.kill()
        writer.join()
        loaded = load_checkpoint(latest_checkpoint(tmp_path))
        assert same(loaded.state, state_at(loaded.step))
        assert loaded.step > last
        last = loaded.step


def test_file_whose_writing_fails_leaves_the_old_one(tmp_path):
    def writes_half(file):
        file.write(b"half of it")
        raise OSError("disk full")

    write_whole(tmp_path / "x", b"old")
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "x", writes_half)
    assert (tmp_path / "x").read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [tmp_path / "x"]
