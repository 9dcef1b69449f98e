"""Programs run as `python ...` runs them, but in this process: loading torch takes seconds.

That they start from a clean interpreter is checked once, by the help of each in `test_scripts`.
"""

import contextlib
import io
import runpy
import sys
from pathlib import Path
from typing import NamedTuple
from unittest import mock

from reporting import ROOT


class Result(NamedTuple):
    """What `subprocess.run` would tell of it."""

    returncode: int
    stdout: str
    stderr: str


def run_here(arguments: list[str], folder: Path) -> Result:
    """The program of a command line, a file or `-m` and a module of the clone, in a folder.

    Args:
        arguments: what follows `python`.
        folder: the working directory.
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
