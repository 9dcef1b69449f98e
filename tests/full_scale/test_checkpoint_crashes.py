"""Checkpoints survive a crash at any file operation, a killed process and a full disk."""

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
    """Makes every file operation after the first `left` ones raise KeyboardInterrupt.

    None lets all operations pass.
    """

    OPERATIONS = ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "fsync")

    def __init__(self):
        self.left = None
        self.fsync = os.fsync
        sys.addaudithook(self)  # sees all file operations except fsync

    def __call__(self, event, arguments):
        if self.left is None or event not in self.OPERATIONS:
            return
        self.left -= 1
        if self.left < 0:
            raise KeyboardInterrupt

    def flush(self, descriptor):
        self("fsync", ())
        self.fsync(descriptor)


CRASH = Crash()  # one for all tests, since an audit hook cannot be removed


def test_crash_at_every_file_operation(tmp_path, monkeypatch):
    """After a crash every checkpoint in the folder loads, and the newest is of step 2 or 3.

    The call that crashes saves step 3 and removes steps 1 and 2.
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
        save_checkpoint(tmp_path, 4, state_at(4), {}, keep=1)  # removes what the crash left
        names = sorted(path.name for path in tmp_path.iterdir())
        assert names == ["step_00000004.pt", "step_00000004.pt.sha256"]
    assert number > 15
    assert found == {(1, 2), (1, 2, 3), (2, 3), (3,)}


def _newest_step(folder):
    path = latest_checkpoint(folder)
    return 0 if path is None else int(path.stem.removeprefix("step_"))


def test_killed_writer_leaves_a_whole_checkpoint(tmp_path):
    """Each writer gets SIGKILL at a random moment. The next one continues from its checkpoint."""
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


def test_a_failed_write_keeps_the_old_file(tmp_path):
    def writes_half(file):
        file.write(b"half of it")
        raise OSError("disk full")

    write_whole(tmp_path / "x", b"old")
    with pytest.raises(OSError, match="disk full"):
        write_whole(tmp_path / "x", writes_half)
    assert (tmp_path / "x").read_bytes() == b"old"
    assert [*tmp_path.iterdir()] == [tmp_path / "x"]
