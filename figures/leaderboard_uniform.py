"""Leaderboard under uniform noise; see `figures.leaderboard`."""

from pathlib import Path
from typing import TYPE_CHECKING

from figures import leaderboard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEEDS = leaderboard.NEEDS


def draw(results: Path) -> "Figure":
    """All tasks of the result.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    return leaderboard.draw(results, "uniform")
