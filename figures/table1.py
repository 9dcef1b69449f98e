"""Table 1 of the paper: FID on CIFAR-10 by network calls, for teacher, student and hybrid.

Published numbers stand beside our runs. A cell that is neither published nor run stays blank.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from figures.evaluations import Row, fine_print, our_runs, star, value
from figures.published import published, sources
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS: dict[str, str] = {}
ROLES = ("teacher", "student", "hybrid")
_OURS = PALETTE["blue"]


def draw(results: Path) -> "Figure":
    """The table as a picture.

    Args:
        results: Folder that may hold evaluations.jsonl.
    """
    import matplotlib.pyplot as plt

    rows, runs = published("cifar10", "fid"), our_runs(results, "cifar10", "fid")
    runs = [run for run in runs if run["role"] in ROLES]
    steps = sorted({row.steps for row in rows} | {run["steps"] for run in runs})
    fig, axes = plt.subplots(figsize=(5.0, 1.0 + 0.24 * len(steps)))
    axes.set(xlim=(0, 7), ylim=(len(steps) + 2, 0), title="CIFAR-10, FID of 50,000 samples")
    axes.axis("off")
    _write(axes, 0.5, 1.5, "calls")
    for column, role in enumerate(ROLES):
        left = 1 + 2 * column
        _write(axes, left + 1, 0.5, role, weight="bold")
        _write(axes, left + 0.5, 1.5, "published")
        _write(axes, left + 1.5, 1.5, "ours", color=_OURS)
        for line, n in enumerate(steps, start=2):
            known = [row.metrics["fid"] for row in rows if (row.role, row.steps) == (role, n)]
            own = [run for run in runs if (run["role"], run["steps"]) == (role, n)]
            _write(axes, left + 0.5, line + 0.5, "\n".join(map(str, known)))
            _write(axes, left + 1.5, line + 0.5, _range(own), color=_OURS)
    for line, n in enumerate(steps, start=2):
        _write(axes, 0.5, line + 0.5, str(n))
    for height, width in ((0, 1.0), (2, 0.5), (len(steps) + 2, 1.0)):
        axes.plot([0, 7], [height, height], color="black", linestyle="-", linewidth=width)
    ours = fine_print(runs, bars=False)
    notes = f"published: {sources(rows)}\n{ours}\nblank: neither published nor run"
    fig.supxlabel(notes, fontsize=6, color="0.3")
    return fig


def _write(axes: "Axes", x: float, y: float, text: str, **look: str) -> None:
    axes.text(x, y, text, ha="center", va="center", **look)


def _range(runs: list[Row]) -> str:
    """A single FID, or "lowest to highest" of several; starred if there are too few samples."""
    cells = [f"{value(run, 'fid'):.2f}{star(run)}" for run in sorted(runs, key=_fid)]
    return " to ".join(dict.fromkeys([cells[0], cells[-1]])) if cells else ""


def _fid(run: Row) -> float:
    return value(run, "fid")
