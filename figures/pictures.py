"""The laws of the two-dimensional tasks by method and steps: who keeps the correlation.

Heat maps of exact laws, nothing is sampled. Masked noise.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from figures import load
from toys.pictures.benchmark import draw_laws

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULT = "pictures.json"
NEEDS = {
    RESULT: "python toys/leaderboard.py --task checkerboard moons digit32 --process masked "
    "--seeds 1 --method teacher confidence sdtt published di4c di4c-d --laws "
    f"--json results/{RESULT}"
}

SHOWN = (
    *(("data", 0), ("teacher", 1), ("teacher", 4), ("confidence", 2), ("sdtt", 1)),
    *(("published", 1), ("di4c", 1), ("di4c-d", 1)),
)
"""Methods with their numbers of network evaluations."""


def draw(results: Path) -> "Figure":
    """One line a task.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    result = load(results, RESULT, "laws", "tasks")
    order = {kind: place for place, kind in enumerate(SHOWN)}
    laws = [law for law in result["laws"] if (law["method"], law["nfe"]) in order]
    laws.sort(key=lambda law: order[law["method"], law["nfe"]])
    titles = {law["task"]: result["tasks"][law["task"]] for law in laws}
    return draw_laws(laws, titles)
