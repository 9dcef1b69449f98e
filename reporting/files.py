"""Files that are whole or absent, and paths that can hold none, noticed before the work."""

import contextlib
import errno
import os
import stat
import sys
from pathlib import Path


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that readers see either whole or not at all.

    The content goes to a temporary name in the same folder, is flushed to the disk and renamed, so
    an interrupted run leaves the previous file untouched. A link stays a link, to what is new; what
    `is_stream` is written to as it is.

    Args:
        path: File to write; its folders are created.
        content: All of it.
    """
    if is_stream(path):
        write_stream(path, content)
        return
    path = Path(os.path.realpath(path))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Shortened: a name may have as many bytes as a folder takes.
    temporary = path.with_name(f".{path.name[:40]}.{os.getpid()}.tmp")
    try:
        with temporary.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


def write_stream(path: Path, content: bytes) -> None:
    """Add to a device, a pipe or our own output, none of which can be replaced or flushed."""
    sys.stdout.flush()
    with path.open("ab") as file:
        file.write(content)


def is_stream(path: Path) -> bool:
    """Whether a path leads to a device, a pipe or the file that our own output goes to.

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
    """Notice before the work that `write_whole` would fail; nothing is created or changed.

    Raises:
        OSError: If the path is a folder, or can neither be made nor be written to.
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
