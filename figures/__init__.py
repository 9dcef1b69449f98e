"""All figures, drawn from the records in results/ alone: `python -m figures`.

A module of this package is one figure: `NEEDS` maps each result file to the command that makes it,
and `draw` turns the folder that holds them into a figure. Where a toy can draw its own record too
(`--figure`), both call the same function.
"""

from pathlib import Path
from typing import Any

from reporting import read_json


class BrokenResult(ValueError):
    """A result file that is not what a figure is drawn from; `file` is its name."""

    def __init__(self, message: str, file: str) -> None:
        super().__init__(message)
        self.file = file


def load(results: Path, name: str, *keys: str) -> dict[str, Any]:
    """The result file of that name.

    Args:
        results: Folder that holds it.
        name: Its name.
        *keys: What it must have.

    Raises:
        BrokenResult: If it is not a JSON object with these keys.
    """
    try:
        result = read_json(results / name)
    except (OSError, ValueError) as error:
        raise BrokenResult(str(error), name) from None
    if absent := [key for key in keys if key not in result]:
        raise BrokenResult(f"{results / name} has no {', '.join(absent)}", name)
    return result
