"""Runs programs of the clone inside this process. A new process would load torch each time."""

import contextlib
import io
import runpy
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from reporting.provenance import ROOT


class Result(NamedTuple):
    """What a program left behind: its exit status and all that it has printed."""

    returncode: int
    stdout: str
    stderr: str


def run_here(arguments: list[str], folder: Path) -> Result:
    """Run a program as `python ARGUMENTS` does in a folder.

    Args:
        arguments: what follows `python`: a file, or `-m` and a module of the clone; then options.
        folder: the working directory of the program.

    Raises:
        Exception: whatever the program raises, except the end of the program itself.
    """
    if arguments[0] == "-m":
        program = ROOT.joinpath(*arguments[1].split("."))
        path = program / "__main__.py" if program.is_dir() else program.with_suffix(".py")
        options = arguments[2:]
    else:
        path, options = Path(arguments[0]), arguments[1:]
    stdout, stderr = io.StringIO(), io.StringIO()
    with (
        contextlib.chdir(folder),
        mock.patch.object(sys, "argv", [str(path), *options]),
        contextlib.redirect_stdout(stdout),
        contextlib.redirect_stderr(stderr),
    ):
        try:
            runpy.run_path(str(path), run_name="__main__")
            status = 0
        except SystemExit as stop:
            status = stop.code or 0
    assert isinstance(status, int)
    return Result(status, stdout.getvalue(), stderr.getvalue())
