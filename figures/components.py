"""Components: how close mixtures of K products come to a law, between exact bounds."""

from pathlib import Path
from typing import TYPE_CHECKING

from figures import load
from toys.pictures.benchmark import draw_components

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT = "components.json"
NEEDS = {RESULT: f"python toys/components.py --json results/{RESULT}"}


def draw(results: Path) -> "Figure":
    """One panel a law of the result.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    return draw_components(load(results, RESULT, "laws")["laws"])
