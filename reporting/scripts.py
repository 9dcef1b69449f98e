"""The command line that all scripts share: common options, one-line errors, exit codes."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn


class _HelpFormatter(argparse.RawDescriptionHelpFormatter):
    """Keeps the lines of the description and shows the defaults that say something."""

    def _get_help_string(self, action: argparse.Action) -> str:
        text = action.help or ""
        silent = action.default in (None, False, argparse.SUPPRESS) or "%(default)" in text
        return text if silent else f"{text} (default: %(default)s)"


class _Parser(argparse.ArgumentParser):
    """Reports a bad argument in one line, as `run_script` does for a bad value."""

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"error: {message}; see --help\n")


def script_parser(
    doc: str | None,
    seed: bool = True,
    json: bool = True,
    figure: bool = True,
    quick: bool = True,
) -> argparse.ArgumentParser:
    """A parser with the options that every script has; add the script's own to it.

    Args:
        doc: Docstring of the script, shown as it is by --help.
        seed: Whether there is a --seed INT, 0 by default.
        json: Whether there is a --json FILE, a `pathlib.Path` or None.
        figure: Whether there is a --figure FILE, a `pathlib.Path` or None.
        quick: Whether there is a --quick.
    """
    parser = _Parser(
        description=(doc or "").strip(), formatter_class=_HelpFormatter, allow_abbrev=False
    )
    common = parser.add_argument_group("common options")
    if json:
        common.add_argument("--json", type=Path, metavar="FILE", help="write the results here")
    if figure:
        common.add_argument(
            "--figure", type=Path, metavar="FILE", help="draw the picture here, as PNG and PDF"
        )
    if seed:
        common.add_argument(
            "--seed", type=int, default=0, metavar="INT", help="seed of every random draw"
        )
    if quick:
        common.add_argument(
            "--quick", action="store_true", help="a small version that ends in seconds"
        )
    return parser


def at_least(least: int) -> Callable[[str], int]:
    """Type of an option that is a whole number of at least `least`: 0 does not mean the default."""

    def number(text: str) -> int:
        try:
            value = int(text)
        except ValueError:
            value = least - 1
        if value < least:
            raise argparse.ArgumentTypeError(
                f"must be a whole number of at least {least}; got {text!r}"
            )
        return value

    return number


_UNUSABLE_PATHS = (
    *(FileNotFoundError, FileExistsError, IsADirectoryError, NotADirectoryError, PermissionError),
)


def run_script(main: Callable[[], int | None]) -> NoReturn:
    """Run the script and exit with the status that `main` returns, 0 for None.

    A ValueError, or a path that cannot be used, is the user's to mend: one line on standard error
    and status 2 (`python -X dev` shows the traceback instead). Ctrl-C gives status 130. Any other
    exception is ours and keeps its traceback.
    """
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit(130)
    except (ValueError, *_UNUSABLE_PATHS) as error:
        if sys.flags.dev_mode:
            raise
        print("error:", " ".join(str(error).split()), file=sys.stderr)
        sys.exit(2)
