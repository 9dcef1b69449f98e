"""Figure 3 of the paper: FID against inception score on ImageNet 256, along the guidance weight.

Published points stand beside our runs. A run is a line through its guidance weights.
"""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.evaluations import error_bar, fine_print, our_runs, star, value
from figures.published import DI4C, DIMO, REDI, Published, published
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS: dict[str, str] = {}
LARGEST_FID = 20.0
"""Published points above it are left out, as the others would lie on top of each other."""

LOOKS = {
    "teacher": (PALETTE["black"], "o"),
    "student": (PALETTE["vermilion"], "s"),
    "rival": (PALETTE["blue"], "D"),
}
_LETTERS = {DI4C: "a", DIMO: "b", REDI: "c"}
_LABELS = {  # offset in points and alignment, where the place above the point is taken
    ("Di4C", 4, DI4C): (-6, -1, "right"),
    ("Di4C-d", 4, DI4C): (-6, -6, "right"),
    ("Di4C", 4, REDI): (0, -10, "center"),
    ("MaskGIT", 16, DIMO): (-3, -12, "left"),
    ("MaskGIT", 8, REDI): (6, -2, "left"),
    ("MaskGIT", 4, DIMO): (7, -2, "left"),
    ("MaskGIT", 4, REDI): (0, -11, "center"),
    ("ReDi1", 4, REDI): (-6, -2, "right"),
    ("ReDi3-distill", 1, REDI): (7, -2, "left"),
}


def draw(results: Path) -> "Figure":
    """One panel: better is down and to the right.

    Args:
        results: Folder that may hold evaluations.jsonl.
    """
    import matplotlib.pyplot as plt

    rows = [row for row in published("imagenet", "fid") if row.metrics["fid"] <= LARGEST_FID]
    runs = [run for run in our_runs(results, "imagenet", "fid") if "is" in run["metrics"]]
    fig, axes = plt.subplots(figsize=(5.0, 3.8))
    for row in rows:
        _point(axes, row)
    for key, group in groupby(runs, key=lambda run: (run["role"], run["steps"])):
        _line(axes, key, list(group))
    axes.set(title="ImageNet 256 x 256", xlabel="inception score", ylabel="FID")
    axes.set_xmargin(0.12)
    axes.set_ymargin(0.12)
    if runs:
        axes.legend(loc="upper right")
    letters = [f"{letter}: {source}" for source, letter in _LETTERS.items()]
    first = f"open markers: published, FID up to {LARGEST_FID:g}"
    notes = "\n".join([first, letters[0], "; ".join(letters[1:]), fine_print(runs)])
    fig.supxlabel(notes, fontsize=6, color="0.3")
    return fig


def _point(axes: "Axes", row: Published) -> None:
    color, marker = LOOKS[row.role]
    x, y = row.metrics["is"], row.metrics["fid"]
    axes.plot(x, y, color=color, marker=marker, linestyle="", markersize=5, markerfacecolor="white")
    right, up, alignment = _LABELS.get((row.method, row.steps, row.source), (0, 6, "center"))
    axes.annotate(
        f"{row.method}, {row.steps} step{'s' if row.steps > 1 else ''} ({_LETTERS[row.source]})",
        (x, y),
        xytext=(right, up),
        textcoords="offset points",
        ha=alignment,
        fontsize=6.5,
        color=color,
    )


def _line(axes: "Axes", key: tuple[str, int], runs: list[dict[str, Any]]) -> None:
    color, marker = LOOKS.get(key[0], (PALETTE["green"], "^"))
    fid, score = ([value(run, name) for run in runs] for name in ("fid", "is"))
    bars = [
        list(zip(*(error_bar(run, name) for run in runs), strict=True)) for name in ("fid", "is")
    ]
    axes.errorbar(
        score,
        fid,
        yerr=bars[0],
        xerr=bars[1],
        color=color,
        marker=marker,
        linewidth=1,
        elinewidth=0.7,
        label=f"ours: {key[0]}, {key[1]} steps",
    )
    for run, x, y in zip(runs, score, fid, strict=True):
        axes.annotate(
            f"w = {run['guidance']:g}{star(run)}",
            (x, y),
            xytext=(4, -8),
            textcoords="offset points",
            fontsize=6,
            color=color,
        )
