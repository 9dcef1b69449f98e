"""Figure 3 of the paper: FID against inception score on ImageNet 256, along the guidance weight.

Published points beside our runs; a run is a line through its guidance weights.
"""

from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures.evaluations import error_bar, fine_print, our_runs, star, value
from figures.published import Published, published, sources
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS: dict[str, str] = {}
_LABELS = {  # offset in points and alignment, where the usual place is taken
    "Di4C-d": (-6, -3, "right"),
    "Di4C-d, by ReDi": (0, -11, "center"),
}
LOOKS = {"teacher": (PALETTE["black"], "o"), "student": (PALETTE["vermilion"], "s")}


def draw(results: Path) -> "Figure":
    """One panel: better is down and to the right.

    Args:
        results: Folder that may hold evaluations.jsonl.
    """
    import matplotlib.pyplot as plt

    both = {"fid", "is"}
    rows = [row for row in published("imagenet", "fid") if both <= row.metrics.keys()]
    only_fid = [row for row in published("imagenet", "fid") if "is" not in row.metrics]
    runs = [run for run in our_runs(results, "imagenet", "fid") if both <= run["metrics"].keys()]
    fig, axes = plt.subplots(figsize=(4.4, 3.4))
    for row in rows:
        _point(axes, row)
    for key, group in groupby(runs, key=lambda run: (run["role"], run["steps"])):
        _line(axes, key, list(group))
    for row in only_fid:
        axes.axhline(row.metrics["fid"], color="0.6", linestyle=":", linewidth=0.8)
        axes.annotate(
            f"{row.method}, {row.steps} steps (FID only)",
            (0.01, row.metrics["fid"]),
            xycoords=("axes fraction", "data"),
            xytext=(0, 2),
            textcoords="offset points",
            fontsize=6.5,
            color="0.35",
        )
    axes.set(title="ImageNet 256 x 256", xlabel="inception score", ylabel="FID")
    axes.set_xmargin(0.18)
    axes.set_ymargin(0.12)
    if runs:
        axes.legend(loc="upper right")
    notes = f"open markers: {sources(rows + only_fid)} (~: about)\n{fine_print(runs)}"
    fig.supxlabel(notes, fontsize=6, color="0.3")
    return fig


def _point(axes: "Axes", row: Published) -> None:
    color, marker = LOOKS[row.role]
    x, y = row.metrics["is"], row.metrics["fid"]
    axes.plot(x, y, color=color, marker=marker, linestyle="", markersize=5, markerfacecolor="white")
    about = "~ " if row.approximate else ""
    right, up, alignment = _LABELS.get(row.method, (0, 6, "center"))
    axes.annotate(
        f"{about}{row.method}, {row.steps} steps",
        (x, y),
        xytext=(right, up),
        textcoords="offset points",
        ha=alignment,
        fontsize=6.5,
        color=color,
    )


def _line(axes: "Axes", key: tuple[str, int], runs: list[dict[str, Any]]) -> None:
    color, marker = LOOKS.get(key[0], (PALETTE["blue"], "^"))
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
