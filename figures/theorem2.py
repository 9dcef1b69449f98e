"""Theorem 2 while a student is trained: the bound holds at every checkpoint, and how loose it is.

The left panel shows the exact values of both sides and of the two parts of the bound. The right
panel shows TV to the data law, of the student and of the teacher that it learns from.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from figures import load
from reporting import PALETTE, decimal_ticks

if TYPE_CHECKING:
    from matplotlib.figure import Figure

NEEDS = {
    "theorem2_training.json": "python toys/theorem2_training.py "
    "--json results/theorem2_training.json"
}

SIDES = {
    "right": ("right side (bound)", "black", "-", "o"),
    "consistency": ("its consistency part", "blue", "--", None),
    "distillation": ("its distillation part", "orange", ":", None),
    "left": ("left side (TV to the teacher)", "vermilion", "-", "s"),
}


def draw(results: Path) -> "Figure":
    """The two panels.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    import matplotlib.pyplot as plt

    result = load(results, "theorem2_training.json", "rows", "steps")
    rows = result["rows"]
    iterations = [row["iteration"] for row in rows]
    fig, (sides, data) = plt.subplots(1, 2, figsize=(7.0, 2.8))
    for name, (label, color, line, marker) in SIDES.items():
        values = [row[name] for row in rows]
        look = {"color": PALETTE[color], "linestyle": line, "marker": marker, "markersize": 3}
        sides.plot(iterations, values, label=label, **look)
    last = rows[-1]
    ratio = last["right"] / last["left"]
    sides.set(title=f"Both sides of Theorem 2 (ratio at the end: {ratio:.1f})", yscale="log")
    sides.set_ylabel("total variation, bounds")
    sides.legend(loc="lower left", fontsize=6)
    data.plot(
        iterations,
        [row["tv"] for row in rows],
        color=PALETTE["vermilion"],
        marker="s",
        markersize=3,
        linestyle="-",
        label="student, 1 step",
    )
    data.axhline(
        last["teacher_tv"],
        color=PALETTE["black"],
        linestyle="--",
        label=f"teacher, {result['steps']} steps",
    )
    data.set(title="Distance to the data law", ylabel="TV", yscale="log")
    data.legend(loc="center left")
    decimal_ticks(sides.yaxis)
    decimal_ticks(data.yaxis, (1, 2, 3, 4, 6))
    for axes in (sides, data):
        axes.set_xscale("symlog", linthresh=1)
        axes.set_xlim(left=0)
        axes.set_xlabel("training iterations")
    return fig
