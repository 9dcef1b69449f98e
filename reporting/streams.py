"""Standard output and standard error of a script: every text can be shown, and faults are named."""

import io
import os
import sys
from typing import TextIO

OUTPUT = "standard output"
"""The name of standard output in error messages."""


def open_streams() -> None:
    r"""Prepare both streams for a script; call it before anything is printed.

    A character that the encoding lacks is shown as an escape, as in `\udcff`. An error of standard
    output names it. Progress and messages that standard error cannot take are dropped, because the
    work must not end for them. Streams that something has replaced, such as a test, are left alone.

    Raises:
        ValueError: If standard output is closed.
    """
    while (spare := os.open(os.devnull, os.O_RDWR)) <= 2:
        os.set_inheritable(spare, True)  # a file that is opened later must not get this number
    os.close(spare)
    if sys.stderr is sys.__stderr__:
        sys.stderr = _opened(2, sys.stderr)
    if sys.stdout is None:
        raise ValueError(f"{OUTPUT} is closed; send it to a file or to {os.devnull}")
    if sys.stdout is sys.__stdout__:
        sys.stdout.flush()
        sys.stdout = _opened(1, sys.stdout)


def drop_output() -> None:
    """Forget what standard output could not take; else Python tries again at its end."""
    null = os.open(os.devnull, os.O_WRONLY)
    os.dup2(null, 1)
    os.close(null)


def printable(text: str) -> str:
    """The text in one line that a terminal shows as it is: all else becomes an escape."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


class _Stream(io.FileIO):
    """An open descriptor that names itself in errors; standard error has none."""

    def write(self, data) -> int | None:
        try:
            return super().write(data)
        except OSError as error:
            if self.fileno() == 2:
                return len(data)
            raise OSError(error.errno, os.strerror(error.errno or 0), OUTPUT) from None


def _opened(number: int, old: TextIO | None) -> io.TextIOWrapper:
    """A new stream of this number, buffered as the old one."""
    raw = _Stream(number, "w", closefd=False)
    at_once = getattr(old, "write_through", False)  # python -u
    return io.TextIOWrapper(
        raw if at_once else io.BufferedWriter(raw),
        encoding=getattr(old, "encoding", "utf-8"),
        errors="backslashreplace",
        line_buffering=getattr(old, "line_buffering", True),
        write_through=at_once,
    )
