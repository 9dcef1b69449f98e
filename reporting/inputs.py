"""Files that others made: how one is opened, and how one that cannot be read is refused."""

import os
import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from reporting.files import naming

_UNSAFE = re.compile(r"weights_only|allow_pickle|trust_remote_code|safe_globals|unsafe", re.I)
_LONGEST = 200  # characters of a foreign message


def require_file(path: Path | str, remedy: str = "check the path") -> Path:
    """The path of a file that can be read.

    A device or a pipe is refused like a folder, because it might never end.

    Args:
        path: file to read.
        remedy: what to do if it is not there, for the message.

    Raises:
        FileNotFoundError: If there is nothing.
        IsADirectoryError: If it is a folder.
        PermissionError: If it must not be read.
        ValueError: If it is a device or a pipe.
    """
    path = Path(path)
    try:
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        raise FileNotFoundError(f"no file {path}; {remedy}") from None
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(f"{path} is a folder, not a file; {remedy}")
    if not stat.S_ISREG(mode):
        raise ValueError(f"{path} is a device or a pipe, not a file; {remedy}")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"no permission to read {path}; change its permissions")
    return path


def read_file(path: Path | str, remedy: str = "check the path") -> bytes:
    """The content of a file that can be read; see `require_file`.

    Raises:
        ValueError: If it is a device or a pipe.
        OSError: If it cannot be read; names the file.
    """
    path = require_file(path, remedy)
    with naming(path):
        return path.read_bytes()


@contextmanager
def parsing(path: Path | str, what: str, remedy: str) -> Iterator[None]:
    """Turn any error of a parser into one line that names the file.

    A broken or hostile file can make a parser raise anything. So this context must hold calls of
    parsers alone: it would also hide a mistake of ours.

    Args:
        path: the file.
        what: what it should be, as in "a whole safetensors file".
        remedy: what to do.

    Raises:
        ValueError: In place of every error. A FileNotFoundError and the like stay.
    """
    try:
        yield
    except (FileNotFoundError, IsADirectoryError, NotADirectoryError, PermissionError):
        raise
    except Exception as error:
        raise ValueError(f"{path} is not {what} ({reason(error)}); {remedy}") from None


def reason(error: Exception) -> str:
    """What an error of another library says, as one short line.

    Libraries advise to trust a file that they refuse. That advice is left out.
    """
    text = " ".join(str(error).split())
    if _UNSAFE.search(text):
        return "it holds objects that could run code"
    return text[:_LONGEST] or type(error).__name__
