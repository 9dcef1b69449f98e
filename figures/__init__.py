"""The figures that gather records, drawn from results/ alone; `python -m figures` draws them all.

A toy that makes its own record draws its own picture (`--figure`); `make reproduce` calls both.
A module of this package is one figure: `NEEDS` maps each result file to the command that makes it,
and `draw` turns the folder that holds them into a figure.
"""

import json
from pathlib import Path
from typing import Any


def load(results: Path, name: str) -> dict[str, Any]:
    """The result file of that name.

    Raises:
        ValueError: If it is not JSON.
    """
    path = results / name
    try:
        return json.loads(path.read_text("utf-8"))
    except json.JSONDecodeError as error:
        raise ValueError(f"result {path} is not JSON ({error}); make it again") from None
