"""Letter windows: the most probable ones, and TV and N TV of the exact teacher after N steps."""

from pathlib import Path
from typing import TYPE_CHECKING

from figures import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT = "letter_windows.json"
NEEDS = {RESULT: f"python toys/letter_windows.py --json results/{RESULT}"}


def draw(results: Path) -> "Figure":
    """The windows, what one step makes of them, and the curves.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    from toys.pictures.curves import draw_windows  # slow: loads torch

    return draw_windows(load(results, RESULT, "laws"))
