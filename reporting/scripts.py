"""The command line that all scripts share: common options, one-line errors, exit codes."""

import argparse
import os
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NoReturn

from reporting.files import require_writable
from reporting.pictures import picture_paths
from reporting.streams import OUTPUT, drop_output, open_streams, printable


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description; shows every default but None and False."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        silent = action.default in (None, False, argparse.SUPPRESS) or "%(default)" in text
        return text if silent else f"{text} (default: %(default)s)"


class _Parser(argparse.ArgumentParser):
    """Reports a bad argument in one line, as `run_script` reports a bad value.

    An empty text is refused everywhere: it comes from a variable of the shell that is not set.
    """

    def error(self, message: str) -> NoReturn:
        self.exit(show_errors([f"{message}; see --help"]))

    def _get_value(self, action: argparse.Action, arg_string: str) -> Any:
        if not arg_string:
            raise argparse.ArgumentError(action, "must not be empty; give a value or leave it out")
        return super()._get_value(action, arg_string)


def script_parser(
    doc: str | None,
    seed: bool = True,
    json: bool = True,
    figure: bool = True,
    quick: bool = True,
) -> argparse.ArgumentParser:
    """A parser with the options that every script has; add the script's own options to it.

    A --json or --figure that cannot be written is refused before any work.

    Args:
        doc: docstring of the script, which --help shows as it is.
        seed: whether there is a --seed INT, 0 by default.
        json: whether there is a --json FILE, a `pathlib.Path` or None.
        figure: whether there is a --figure FILE, a `pathlib.Path` or None.
        quick: whether there is a --quick.
    """
    parser = _Parser(
        description=(doc or "").strip(), formatter_class=_HelpFormatter, allow_abbrev=False
    )
    common = parser.add_argument_group("common options")
    if json:
        common.add_argument(
            "--json",
            type=output_file,
            metavar="FILE",
            help="write the results here",
        )
    if figure:
        common.add_argument(
            "--figure",
            type=_output(picture_paths),
            metavar="FILE",
            help="draw the picture here, as PNG and PDF",
        )
    if seed:
        common.add_argument(
            "--seed", type=_seed, default=0, metavar="INT", help="seed of every random draw"
        )
    if quick:
        common.add_argument(
            "--quick", action="store_true", help="a small version that ends in seconds"
        )
    return parser


def at_least(least: int, most: int = 2**31 - 1) -> Callable[[str], int]:
    """Type of an option that is a whole number of at least `least` and at most `most`."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if not least <= value <= most:
            bound = f"at least {least}" if value < least else f"at most {most}"
            raise argparse.ArgumentTypeError(f"must be a whole number of {bound}; got {text!r}")
        return value

    return number


def require_seed(seed: int) -> int:
    """The seed, if it is a whole number of 32 bits: torch's generator on the CPU reads no more.

    Raises:
        ValueError: If it is not.
    """
    if not 0 <= seed < 2**32:
        raise ValueError(f"seed must be a whole number in 0..2**32 - 1; got {seed}")
    return seed


def _seed(text: str) -> int:
    """Type of an option that is a seed."""
    try:
        return require_seed(int(text))
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"must be a whole number in 0..2**32 - 1; got {text!r}"
        ) from None


def _output(files: Callable[[Path], list[Path]]) -> Callable[[str], Path]:
    """Type of an option that names an output; `files` lists the files that it takes."""

    def path(text: str) -> Path:
        if text.endswith(os.sep):  # `Path` drops it, and the file would lie beside the folder
            raise argparse.ArgumentTypeError(f"must name a file; got the folder {text!r}")
        try:
            for file in files(Path(text)):
                require_writable(file)
        except (OSError, ValueError) as error:
            raise argparse.ArgumentTypeError(str(error)) from None
        return Path(text)

    return path


output_file = _output(lambda path: [path])
"""Type of an option that names a file to write; a file that cannot be written is refused."""


def input_folder(text: str) -> Path:
    """Type of an option that names a folder to read."""
    if not os.path.isdir(text):
        raise argparse.ArgumentTypeError(f"must name a folder that exists; got {text!r}")
    return Path(text)


def run_script(main: Callable[[], int | None]) -> NoReturn:
    """Run the script and exit with the status that `main` returns, 0 for None.

    A ValueError is a mistake that the user can repair. So is an OSError that says what is wrong: by
    a number of the system, or by its class, as a FileNotFoundError does. Both end in one line on
    standard error and status 2; `python -X dev` shows the traceback instead. Ctrl-C gives status
    130. If the reader of standard output is gone, as after `| head`, the script ends without a word
    and with status 141, as other tools do. Any other exception is a defect of the program and keeps
    its traceback.
    """
    os.environ["MPLBACKEND"] = "Agg"  # an unknown one would be refused only after the work
    try:
        open_streams()
        try:
            status = main()
        except SystemExit as stop:  # as after --help
            status = stop.code
        sys.stdout.flush()
        sys.exit(status)
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, OSError) as error:
        if isinstance(error, OSError) and error.filename == OUTPUT:
            drop_output()
            if isinstance(error, BrokenPipeError):
                sys.exit(141)
        if sys.flags.dev_mode or (type(error) is OSError and error.errno is None):
            raise
        sys.exit(show_errors([_said(error)]))


def show_errors(errors: Iterable[str]) -> int:
    """Show each error as one line of standard error. The status is 2 if there are any, else 0."""
    status = 0
    for error in errors:
        print("error:", printable(" ".join(error.split())), file=sys.stderr)
        status = 2
    return status


def _said(error: ValueError | OSError) -> str:
    """The message. What the system says about a file begins with its name."""
    if isinstance(error, OSError) and error.filename is not None:
        return f"{error.filename}: {error.strerror}"
    return str(error)
