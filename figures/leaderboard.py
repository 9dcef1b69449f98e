"""Leaderboard: exact TV against network evaluations, one panel a task, the teacher's curve behind.

Points are means over seeds with 95 % intervals. Last panel: speed-up over all tasks.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from figures import load
from toys.benchmark.ranking import recorded_limits, summarise
from toys.pictures.benchmark import draw_leaderboard

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT = "leaderboard.json"
NEEDS = {
    RESULT: f"python toys/leaderboard.py --csv results/leaderboard.csv --json results/{RESULT}"
}


def draw(results: Path, process: str = "masked") -> "Figure":
    """All tasks of the result.

    Args:
        results: Folder with the files of `NEEDS`.
        process: the noise.
    """
    result = load(results, RESULT, "rows", "tasks")
    lines = summarise(result["rows"])
    return draw_leaderboard(lines, result["tasks"], process, recorded_limits(result))
