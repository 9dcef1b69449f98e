"""All pictures, drawn from the records in results/ alone: `python -m figures`.

`catalogue` lists them. A module with `NEEDS` and `draw` is one picture: `NEEDS` has the command
that makes each record, and `draw` turns the folder of the records into a figure.
"""

from pathlib import Path
from typing import Any

from reporting import read_json


class BrokenResult(ValueError):
    """A record that a picture cannot be drawn from; `file` is its name."""

    def __init__(self, message: str, file: str) -> None:
        super().__init__(message)
        self.file = file


def load(results: Path, name: str, *keys: str) -> dict[str, Any]:
    """Read a record.

    Args:
        results: folder of the records.
        name: file name of this one.
        *keys: what it must have.

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
