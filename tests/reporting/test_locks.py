"""One writer at a time: the second one is told who is there, and a killed one never blocks."""

import os
import platform
import signal
import time

import pytest

from reporting import locks, only_writer, only_writer_of
from tests.helpers.forks import FORKS


def _hold(place, ready, lock=only_writer, child=False):
    """Hold the lock until killed; with `child`, have a forked child that lives on."""
    with lock(place):
        if child and os.fork() == 0:
            ready.set()  # the child has begun, and dropped what it must not keep
            time.sleep(20)
            os._exit(0)
        if not child:
            ready.set()
        time.sleep(60)


@pytest.fixture
def holder():
    """A function that starts a process that holds a lock, and returns it."""
    processes = []

    def start(place, **options):
        ready = FORKS.Event()
        process = FORKS.Process(target=_hold, args=(place, ready), kwargs=options)
        processes.append(process)
        process.start()
        assert ready.wait(60)
        return process

    yield start
    for process in processes:
        process.kill()
        process.join()


@pytest.mark.parametrize("lock", [only_writer, only_writer_of])
def test_the_second_writer_is_told_who_is_there(tmp_path, holder, lock):
    place = tmp_path / "place"
    process = holder(place, lock=lock)
    found = rf"place is in use: process {process.pid} on {platform.node()} \(since \d{{4}}-.*\) wr"
    with pytest.raises(ValueError, match=found), lock(place):
        pass
    process.kill()
    process.join()
    with lock(place):
        pass
    assert [path.name for path in tmp_path.rglob("*")] == ["place"] * (lock is only_writer)


def test_files_with_long_names_that_begin_alike_have_locks_of_their_own(tmp_path):
    one, two = (tmp_path / ("x" * 100 + end) for end in (".a", ".b"))
    with only_writer_of(one), only_writer_of(two):
        assert len(os.listdir(tmp_path)) == 2


def test_a_child_of_a_killed_process_does_not_block(tmp_path, holder):
    """Processes that read data ahead are forked, and end some seconds after the trainer."""
    process = holder(tmp_path, child=True)
    os.kill(process.pid, signal.SIGKILL)
    process.join()
    with only_writer(tmp_path):
        pass


def test_the_lock_is_dropped_after_an_error(tmp_path):
    with pytest.raises(RuntimeError), only_writer(tmp_path):
        raise RuntimeError
    assert list(tmp_path.iterdir()) == []
    with only_writer(tmp_path), pytest.raises(ValueError, match="in use"), only_writer(tmp_path):
        pass


def test_locks_of_other_names_do_not_exclude_each_other(tmp_path):
    with only_writer(tmp_path, ".one"), only_writer(tmp_path, ".two"):
        assert sorted(os.listdir(tmp_path)) == [".one", ".two"]


def test_a_holder_that_ends_while_we_open_its_file(tmp_path, monkeypatch):
    """Its file has no name any more, and a lock on it would exclude nobody."""
    opened, once = os.open, []

    def late(path, *arguments, **options):
        descriptor = opened(path, *arguments, **options)
        if not once:
            once.append(path)
            os.unlink(path)
        return descriptor

    monkeypatch.setattr(os, "open", late)
    with only_writer(tmp_path):
        assert os.listdir(tmp_path) == [locks.LOCK]
        with pytest.raises(ValueError, match="in use"), only_writer(tmp_path):
            pass


def test_a_link_in_the_place_of_the_lock_is_not_followed(tmp_path):
    (tmp_path / "precious").write_text("text")
    (tmp_path / locks.LOCK).symlink_to("precious")
    with pytest.raises(OSError, match=r"\.lock"), only_writer(tmp_path):
        pass
    assert (tmp_path / "precious").read_text() == "text"
