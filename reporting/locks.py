"""One writer at a time in a folder or on a file; whoever comes second is told who is there."""

import contextlib
import json
import os
import platform
import zlib
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"
"""Name of the lock file in a folder. It is there only while a process writes in the folder."""

_held: set[int] = set()  # descriptors of the locks of this process


def only_writer(folder: Path | str, name: str = LOCK) -> contextlib.AbstractContextManager[None]:
    """Be the only process that writes in a folder, or refuse.

    The system drops the lock when the process ends, however it ends, so that a killed process
    never blocks the next one. Children of the process do not keep the lock. Windows and file
    systems without locks have no protection.

    Args:
        folder: the folder; created.
        name: name of the lock file. Locks of different names do not exclude each other.

    Raises:
        ValueError: If another process holds the lock; names the process, its machine and the time.
        OSError: If no file can be created there.
    """
    return _held_lock(Path(folder) / name, Path(folder))


def only_writer_of(path: Path | str) -> contextlib.AbstractContextManager[None]:
    """Be the only process that writes a file, or refuse, as in `only_writer`.

    Args:
        path: the file; its folder is created.

    Raises:
        ValueError: If another process holds the lock; names the process, its machine and the time.
        OSError: If no file can be created there.
    """
    place = Path(os.path.realpath(path))
    return _held_lock(place.with_name(f"{hidden_name(place.name)}{LOCK}"), place)


def hidden_name(name: str) -> str:
    """The start of the name of a hidden file that belongs to another one, in the same folder.

    A long name is shortened, because it may be as long as the file system allows. Its check sum
    keeps it apart from names with the same beginning.
    """
    if len(name) > 40:
        name = f"{name[:31]}-{zlib.crc32(os.fsencode(name)):08x}"
    return f".{name}"


@contextlib.contextmanager
def _held_lock(path: Path, place: Path) -> Iterator[None]:
    """Hold the lock of a place."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = _acquire(path, place)
    _held.add(descriptor)
    try:
        yield
    finally:
        _held.discard(descriptor)
        path.unlink(missing_ok=True)  # while it is still locked: a file that is gone locks nobody
        os.close(descriptor)


@contextlib.contextmanager
def short_lock(descriptor: int) -> Iterator[None]:
    """Wait for an open file, and keep other processes that do the same from it for a moment."""
    if fcntl is None:
        yield
        return
    with contextlib.suppress(OSError):  # a file system without locks
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            fcntl.flock(descriptor, fcntl.LOCK_UN)


def remove_unlocked(path: Path) -> None:
    """Remove a file unless a process holds its lock, or the file system has no locks.

    A symbolic link and what it points to stay.
    """
    if fcntl is None:
        return
    with contextlib.suppress(OSError):  # it is locked, no file of ours, or just gone
        descriptor = os.open(path, os.O_RDWR | os.O_NOFOLLOW | os.O_NONBLOCK)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(descriptor), path.lstat()):  # not renamed meanwhile
                path.unlink()
        finally:
            os.close(descriptor)


def _acquire(path: Path, place: Path) -> int:
    """A descriptor of the lock file, which is locked and still has this name."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o644)
        try:
            _lock(descriptor, path, place)
        except BaseException:
            os.close(descriptor)
            raise
        if os.fstat(descriptor).st_nlink:
            break
        os.close(descriptor)  # the holder before us has just removed the file
    holder = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    with contextlib.suppress(OSError):  # on a full disk the lock has no text
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(holder).encode(), 0)
    return descriptor


def _lock(descriptor: int, path: Path, place: Path) -> None:
    if fcntl is None:
        return
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ValueError(
            f"{place} is in use: {_holder(path)} writes there; wait until it ends, or choose "
            "another place"
        ) from None
    except OSError:  # a file system without locks
        return


def _holder(path: Path) -> str:
    """Who holds a lock, in words."""
    try:
        told = json.loads(path.read_bytes())
        return f"process {told['pid']} on {told['host']} (since {told['since']})"
    except (OSError, ValueError, KeyError, TypeError):  # it is just writing, or has just ended
        return "another process"


def _drop_in_child() -> None:
    """Close the locks in a forked child: it would keep them when its parent is killed."""
    while _held:
        os.close(_held.pop())


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_drop_in_child)
