"""Theorem 1 on two coordinates: TV falls like 1/N, or like log N / N if the data law has zeros.

The left and the middle panel show TV and N TV of three processes: exact values, closed forms,
two-sided bounds and limits. The right panel shows N TV of a law with zeros: it grows like log N on
the uniform grid and stays bounded on the quadratic grid.
"""

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from figures import load
from reporting import PALETTE

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Result = dict[str, Any]

# Colour and marker: lines differ in grey prints too.
LOOKS = {
    "masked": (PALETTE["black"], "o"),
    "uniform": (PALETTE["vermilion"], "s"),
    "absorbing": (PALETTE["blue"], "^"),
}
GRID_LOOKS = {"uniform": (PALETTE["vermilion"], "s"), "quadratic": (PALETTE["black"], "D")}
LOG_FILES = {"uniform": "two_dim_log.json", "quadratic": "two_dim_log_quadratic.json"}

_LOG_LAW = "--process ctmc --rates 0.3 1 --theta 1 --horizon 2"
_LOG_STEPS = "--steps " + " ".join(str(2**k) for k in range(11))
NEEDS = {
    f"two_dim_tv_{process}.json": f"python toys/two_dim_tv.py --process {process} "
    f"--json results/two_dim_tv_{process}.json"
    for process in LOOKS
} | {
    file: f"python toys/two_dim_tv.py {_LOG_LAW} --grid {grid} {_LOG_STEPS} --json results/{file}"
    for grid, file in LOG_FILES.items()
}


def draw(results: Path) -> "Figure":
    """The three panels.

    Args:
        results: Folder with the files of `NEEDS`.
    """
    import matplotlib.pyplot as plt

    fig, (left, middle, right) = plt.subplots(1, 3, figsize=(7.2, 2.6))
    for process in LOOKS:
        result = load(results, f"two_dim_tv_{process}.json", "process", "rows", "limit")
        _draw_rate(left, result, times_n=False)
        _draw_rate(middle, result, times_n=True)
        if result["limit"] is not None:
            middle.axhline(result["limit"], color=LOOKS[process][0], linestyle="--", linewidth=0.8)
    left.set_yscale("log")
    left.set(title="TV falls like $1/N$", ylabel="TV")
    middle.set(title="$N$ TV tends to its limit", ylabel="$N$ TV")
    middle.set_ylim(bottom=0)
    for axes in (left, middle):
        axes.set_xscale("log", base=2)
        axes.set_xlabel("steps $N$")
    left.legend(handles=_process_handles(), loc="lower left")
    middle.legend(handles=_line_handles(), loc="upper right")

    for grid, file in LOG_FILES.items():
        _draw_log(right, load(results, file, "rows", "log_coefficient"), grid)
    right.set(title="A data law with zeros", xlabel=r"$\log_2 N$", ylabel="$N$ TV")
    right.set_ymargin(0.25)  # room for the legend
    right.set_ylim(bottom=0)
    right.legend(loc="upper left")
    return fig


def _draw_rate(axes: "Axes", result: Result, times_n: bool) -> None:
    """Points for the exact TV, a line for the closed form, a band between the bounds."""
    color, marker = LOOKS[result["process"]]
    steps = _column(result, "steps")
    factor = steps if times_n else np.ones_like(steps)
    lower, upper = (factor * _column(result, f"{side}_bound") for side in ("lower", "upper"))
    axes.fill_between(steps, lower, upper, color=color, alpha=0.18, linewidth=0)
    axes.plot(steps, factor * _column(result, "closed_form"), color=color, linestyle="-")
    axes.plot(
        steps,
        factor * _column(result, "tv"),
        color=color,
        marker=marker,
        markersize=3,
        linestyle="",
    )


def _draw_log(axes: "Axes", result: Result, grid: str) -> None:
    """N TV over log2 N, and a line with the slope that the coefficient of log N predicts."""
    color, marker = GRID_LOOKS[grid]
    doublings, n_tv = np.log2(_column(result, "steps")), _column(result, "n_tv")
    axes.plot(doublings, n_tv, color=color, marker=marker, linestyle="-", label=f"{grid} grid")
    if result["log_coefficient"] is not None:
        slope = result["log_coefficient"] * np.log(2)
        axes.plot(
            doublings,
            n_tv[-1] + slope * (doublings - doublings[-1]),
            color=PALETTE["black"],
            linestyle="--",
            linewidth=0.9,
            label=f"{result['log_coefficient']:.3f} ln $N$ + constant",
        )


def _column(result: Result, name: str) -> np.ndarray:
    """One number for each N in growing order; NaN, which is not drawn, if there is none."""
    rows = sorted(result["rows"], key=lambda row: row["steps"])
    return np.array([np.nan if row[name] is None else row[name] for row in rows], float)


def _process_handles() -> list:
    from matplotlib.lines import Line2D

    return [
        Line2D([], [], color=color, marker=marker, linestyle="", label=f"{process} pair")
        for process, (color, marker) in LOOKS.items()
    ]


def _line_handles() -> list:
    from matplotlib.lines import Line2D
    from matplotlib.patches import Patch

    grey = "0.35"
    return [
        Line2D([], [], color=grey, marker="o", linestyle="", label="exact"),
        Line2D([], [], color=grey, linestyle="-", label="closed form"),
        Line2D([], [], color=grey, linestyle="--", linewidth=0.8, label="limit"),
        Patch(color=grey, alpha=0.3, linewidth=0, label="bounds"),
    ]
