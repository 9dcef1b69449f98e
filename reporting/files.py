"""Files that are written whole or not at all, and an early check that a file can be written."""

import contextlib
import errno
import os
import re
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from reporting.locks import hidden_name, remove_unlocked, short_lock


def write_whole(
    path: Path | str,
    content: bytes | Callable[[BinaryIO], object],
    put: Callable[[Path, Path], None] = os.replace,
) -> None:
    """Write a file that readers see either whole or not at all.

    The content goes to a temporary name in the same folder, is flushed to the disk and renamed.
    An interrupted run therefore leaves the previous file untouched. The next writer removes the
    temporary file of a killed one. A symbolic link stays, and the file that it points to is
    replaced. A device or a pipe (see `is_stream`) is written to directly.

    Args:
        path: File to write; its folders are created.
        content: All bytes of the file, or a function that writes them to an open binary file.
        put: Gives the finished temporary file its final name. `os.link` instead of `os.replace`
            raises a FileExistsError if there is such a file, and keeps that file.

    Raises:
        OSError: If the file cannot be written, as on a full disk; names the file.
    """
    path = Path(path)
    if is_stream(path):
        write_stream(path, content)
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    stem = f"{hidden_name(path.name)}."
    temporary = path.with_name(f"{stem}{os.getpid()}.tmp")
    with naming(path):
        _remove_leftovers(path.parent, stem)
        try:
            with _locked_file(temporary) as file:
                _write(file, content)
                file.flush()
                os.fsync(file.fileno())
                if os.name != "nt":
                    put(temporary, path)
            if os.name == "nt":  # Windows renames no open file; it has no locks either
                put(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)
        flush(path.parent)


@contextlib.contextmanager
def _locked_file(path: Path) -> Iterator[BinaryIO]:
    """A new file. Its lock tells other writers that it is no leftover."""
    while True:
        path.unlink(missing_ok=True)  # of a killed process with our number
        with path.open("xb") as file, short_lock(file.fileno()):  # never through a link
            if os.fstat(file.fileno()).st_nlink:  # else it was removed before it was locked
                yield file
                return


def _remove_leftovers(folder: Path, stem: str) -> None:
    """Remove temporary files that killed writers have left. Those of living ones are locked."""
    ours = re.compile(re.escape(stem) + r"\d+\.tmp")
    with os.scandir(folder) as entries:
        left = [
            entry.path
            for entry in entries
            if ours.fullmatch(entry.name) and entry.is_file(follow_symlinks=False)
        ]
    for path in left:
        remove_unlocked(Path(path))


@contextlib.contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Give errors of the system the name of the file that is written.

    The system itself names the file only when it is opened. A serialiser that fails to write may
    raise an error of its own after that of the system; it becomes that of the system.

    Raises:
        OSError: With the number of the system and the name of the file.
    """
    try:
        yield
    except (OSError, RuntimeError) as error:
        cause = error if isinstance(error, OSError) else error.__context__
        if not (isinstance(cause, OSError) and cause.errno) or cause.filename is not None:
            raise
        raise OSError(cause.errno, os.strerror(cause.errno), str(path)) from None


def write_stream(path: Path, content: bytes | Callable[[BinaryIO], object]) -> None:
    """Append to a device, a pipe or our own output: these can be neither replaced nor flushed."""
    sys.stdout.flush()
    with naming(path), path.open("ab") as file:
        _write(file, content)


def _write(file: BinaryIO, content: bytes | Callable[[BinaryIO], object]) -> None:
    if callable(content):
        content(file)
    else:
        file.write(content)


def flush(path: Path) -> None:
    """Flush a file, or the list of names in a folder, to the disk."""
    if path.is_dir() and os.name == "nt":  # Windows cannot open folders
        return
    descriptor = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or the file that receives our own output.

    Raises:
        OSError: If the path leads nowhere: links in a circle, a name that is too long.
    """
    try:
        found = path.stat()
    except FileNotFoundError:
        return False
    for number in (1, 2):  # `--json /dev/stdout >> log` must not replace the log
        with contextlib.suppress(OSError):  # closed
            if os.path.samestat(found, os.fstat(number)):
                return True
    return not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode))


def require_writable(path: Path) -> None:
    """Check before the work that `write_whole` can write here; nothing is created or changed.

    Raises:
        OSError: If the path is a folder, cannot be created, or cannot be written to.
    """
    if is_stream(path):
        place, access = path, os.W_OK
    elif path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    else:
        parents = Path(os.path.realpath(path)).parents
        place, access = next(folder for folder in parents if folder.exists()), os.W_OK | os.X_OK
    if not os.access(place, access):
        raise PermissionError(errno.EACCES, "no permission to write", str(place))
