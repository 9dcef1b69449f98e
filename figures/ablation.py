"""What makes one step good: exact TV of students, one change of the recipe per row.

A point is a seed, a bar the mean over seeds. Filled points take one step, hollow points two.
Dotted lines mark the exact teacher with N steps on the same law: 3 x 3 digit patches, masked noise.
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from figures import load
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NEEDS = {
    "ablation.json": "python toys/ablation.py --seeds 3 --json results/ablation.json",
    "ablation_long.json": "python toys/ablation.py --long 12000 --json results/ablation_long.json",
    "ablation_two_steps.json": "python toys/ablation.py --two-steps --seeds 3 "
    "--json results/ablation_two_steps.json",
    "digit_patches.json": "python toys/digit_patches.py --json results/digit_patches.json",
}
TICKS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
TITLES = {
    "published": "published recipe: ",
    "improved": "our settings: ",
    "Di4C, changed": "our settings of Di4C, but ",
    "Di4C-d, changed": "our settings of Di4C-d, but ",
    "long": "our settings, long training: ",
    "two steps": "one and two steps: ",
}
"""How the labels of a group of variants start."""

COLORS = {
    "published": "black",
    "improved": "vermilion",
    "Di4C, changed": "sky",
    "Di4C-d, changed": "blue",
    "long": "green",
    "two steps": "purple",
}


def draw(results: Path) -> "Figure":
    """One panel with one row per variant.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    import matplotlib.pyplot as plt

    files = [name for name in NEEDS if name.startswith("ablation")]
    records = [load(results, name, "runs")["runs"] for name in files]
    runs = [run for record in records for run in record]
    names = list(dict.fromkeys((run["group"], run["variant"]) for run in runs))
    fig, axes = plt.subplots(figsize=(7.0, 0.19 * len(names) + 0.9))
    for place, (group, variant) in enumerate(names):
        means = []
        for nfe, fill in ((1, "full"), (2, "none")):
            values = [
                run["tv"]
                for run in runs
                if (run["group"], run["variant"], run["nfe"]) == (group, variant, nfe)
            ]
            if values:
                mean, color = sum(values) / len(values), PALETTE[COLORS[group]]
                axes.plot([mean, mean], [place - 0.3, place + 0.3], color=color, linestyle="-")
                points = {"color": color, "linestyle": "", "marker": "o", "fillstyle": fill}
                axes.plot(values, [place] * len(values), ms=3, mew=0.6, **points)
                means.append(f"{mean:.4f}")
        text = ", ".join(means)
        across = axes.get_yaxis_transform()
        axes.text(1.01, place, text, transform=across, va="center", fontsize=6)
    labels = [_label(group, name) for group, name in names]
    axes.set_yticks(range(len(names)), labels, fontsize=6)
    axes.set_ylim(len(names) - 0.4, -0.6)  # the first row on top
    _mark_teacher(axes, load(results, "digit_patches.json", "laws"))
    axes.set(
        xscale="log",
        xlabel="TV to the data law after one step (filled) and two (hollow); right: means",
    )
    low, high = axes.get_xlim()
    ticks = [tick for tick in TICKS if low <= tick <= high]
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.set_xticks([], minor=True)
    return fig


def _label(group: str, name: str) -> str:
    """What a row is called: its group of variants, then the variant."""
    name = re.sub(r"(?<![\d.])\.(?=\d)", "0.", name)  # a record may have .9 for 0.9
    return TITLES.get(group, f"{group}: ") + name


def _mark_teacher(axes: "Axes", patches: dict[str, Any]) -> None:
    """Vertical lines at the TV of the exact teacher after N steps."""
    small = next((law for law in patches["laws"] if law["size"] == 3), None)
    if small is None:
        raise ValueError(
            f"digit_patches.json has no 3 x 3 patches; run: {NEEDS['digit_patches.json']}"
        )
    curve = next(curve for curve in small["curves"] if curve["process"] == "masked")
    low = axes.get_xlim()[0]
    shown = [row for row in curve["rows"] if row["tv"] > low]
    lines = [
        axes.axvline(row["tv"], color="0.6", linestyle=":", linewidth=0.7, zorder=0)
        for row in shown
    ]
    for row in shown:
        axes.text(
            row["tv"],
            1.0,
            f"N={row['steps']}",
            transform=axes.get_xaxis_transform(),
            fontsize=5.5,
            ha="center",
            va="bottom",
        )
    if lines:  # the legend stands to the left of these labels
        place = {"loc": "lower right", "bbox_to_anchor": (0, 1), "borderaxespad": 0}
        axes.legend(lines[:1], ["exact teacher, N steps"], fontsize=5.5, borderpad=0, **place)
