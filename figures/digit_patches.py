"""Digit patches: the most probable ones, and TV and N TV of the exact teacher after N steps."""

from pathlib import Path
from typing import TYPE_CHECKING

from figures import load

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT = "digit_patches.json"
NEEDS = {RESULT: f"python toys/digit_patches.py --json results/{RESULT}"}


def draw(results: Path) -> "Figure":
    """One line for each size of patches.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    from toys.pictures.curves import draw_patches  # slow: loads torch

    return draw_patches(load(results, RESULT, "laws"))
